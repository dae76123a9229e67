"""Names that code for `transformers` uses: aliases, and what to write instead."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minibert.errors import MiniBertError

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

# Imported from minibert under these names, too.
ALIASES = {
    "AutoConfig": "BertConfig",
    "AutoModel": "BertModel",
    "AutoModelForMaskedLM": "BertForMaskedLM",
    "AutoModelForMultipleChoice": "BertForMultipleChoice",
    "AutoModelForNextSentencePrediction": "BertForNextSentencePrediction",
    "AutoModelForPreTraining": "BertForPreTraining",
    "AutoModelForQuestionAnswering": "BertForQuestionAnswering",
    "AutoModelForSequenceClassification": "BertForSequenceClassification",
    "AutoModelForTokenClassification": "BertForTokenClassification",
    "AutoTokenizer": "BertTokenizer",
    "BertPreTrainedModel": "PretrainedModel",
    "BertTokenizerFast": "BertTokenizer",
    "PreTrainedModel": "PretrainedModel",
}

_TRAIN = "write a loop in PyTorch, call minibert.training.loop.train, or run minibert finetune"
_PAD = 'use collate_fn=lambda rows: tokenizer.pad(rows, return_tensors="pt")'
_LAYERS = "the layers are in minibert.model: embeddings.py, attention.py, encoder.py and bert.py"
_ENCODER = "it is an encoder only; use transformers for decoders"
_SCHEDULE = "use torch.optim.lr_scheduler.LambdaLR, or get_linear_schedule_with_warmup"
_MASKING = "minibert.data.pretraining.masking masks tokens, and minibert pretrain trains with it"
_DECODER = "the decoder is the table of word embeddings: model.get_input_embeddings()"
_TO_DEVICE = 'load the model, then move it: model.to("cuda")'
_PRUNE = (
    "set the columns of a head of D dimensions to 0: "
    "model.base_model.encoder.layer[i].attention.output.weight[:, head * D : (head + 1) * D] = 0"
)

# A name to import, an attribute of a model, or an argument -> what to use instead.
INSTEAD = {
    # To import
    "AdamW": "use torch.optim.AdamW; its weight_decay is 0.01 by default, and was 0.0 there; in a "
    "group the key is weight_decay too, as weight_decay_rate is ignored",
    "BertAdam": "use torch.optim.AdamW, or minibert.training.google_adam.GoogleAdam",
    "AutoModelForCausalLM": _ENCODER,
    "BertLMHeadModel": _ENCODER,
    "EncoderDecoderModel": _ENCODER,
    "BertLayer": _LAYERS,
    "BertEncoder": _LAYERS,
    "BertEmbeddings": _LAYERS,
    "BertPooler": _LAYERS,
    "BertSelfAttention": _LAYERS,
    "DataCollatorForLanguageModeling": _MASKING,
    "DataCollatorForWholeWordMask": _MASKING,
    "DataCollatorForTokenClassification": f"{_PAD}, with labels padded by -100",
    "DataCollatorWithPadding": _PAD,
    "default_data_collator": _PAD,
    "EarlyStoppingCallback": "minibert.training.loop.train keeps the best weights",
    "get_constant_schedule_with_warmup": _SCHEDULE,
    "get_cosine_schedule_with_warmup": _SCHEDULE,
    "get_scheduler": _SCHEDULE,
    "WarmupLinearSchedule": _SCHEDULE,
    "get_assignment_map_from_checkpoint": "from_pretrained reads Google's checkpoints",
    "load_tf_weights_in_bert": "from_pretrained reads Google's checkpoints, and minibert convert "
    "converts them",
    "logging": "pass quiet=True to from_pretrained, or use Python's logging",
    "QuestionAnsweringModelOutput": "use QuestionAnsweringOutput of minibert.model.outputs",
    "SequenceClassifierOutput": "use TaskOutput of minibert.model.outputs",
    "pipeline": "use TextClassifier of minibert.inference.text_classification, MaskFiller of "
    "minibert.inference.fill_mask, SentenceEncoder of minibert.inference.sentence_embeddings, "
    "Tagger of minibert.inference.tagging, or QuestionAnswerer of "
    "minibert.inference.question_answering",
    "PretrainedConfig": "use BertConfig",
    "PreTrainedTokenizer": "use BertTokenizer",
    "PreTrainedTokenizerFast": "use BertTokenizer",
    "BasicTokenizer": "use BertTokenizer; its first step is minibert.tokenization.normalize",
    "WordpieceTokenizer": "use BertTokenizer; its second step is minibert.tokenization.wordpiece",
    "set_seed": "use torch.manual_seed",
    "TFBertModel": "use BertModel: it is PyTorch, and reads TensorFlow checkpoints of Google",
    "TFBertForSequenceClassification": "use BertForSequenceClassification, which is PyTorch",
    "Trainer": _TRAIN,
    "TrainingArguments": "use minibert.training.settings.TrainingSettings, with the same names",
    # Attributes of a model
    "activation_checkpointing_enable": "call model.gradient_checkpointing_enable()",
    "base_model_prefix": "the encoder below a head is model.base_model, and its name is bert",
    "cls": "the heads are model.masked_lm and model.next_sentence",
    "generate": _ENCODER,
    "get_extended_attention_mask": "pass attention_mask (B, S) as it is",
    "get_output_embeddings": _DECODER,
    "init_bert_weights": "use self.apply(self.init_weights)",
    "prune_heads": _PRUNE,
    "push_to_hub": "save_pretrained(folder), then huggingface_hub.upload_folder",
    "name_or_path": "read model.load_report.source",
    "get_memory_footprint": "use sum(p.nbytes for p in model.parameters())",
    "resize_position_embeddings": "use model = minibert.model.resize.resize(model, "
    "max_position_embeddings=...)",
    "resize_token_embeddings": "use model = minibert.model.resize.resize(model, vocab_size=...)",
    "set_input_embeddings": "assign model.base_model.embeddings.word_embeddings",
    "tie_weights": "the decoder is always tied; leave the call out",
    # Arguments of a model
    "cross_attn_head_mask": _ENCODER,
    "encoder_attention_mask": _ENCODER,
    "encoder_hidden_states": _ENCODER,
    "past_key_values": _ENCODER,
    "use_cache": _ENCODER,
    "head_mask": _PRUNE,
    "inputs_embeds": "pass ids of the same shape, and replace their vectors by a hook: "
    "model.get_input_embeddings().register_forward_hook(lambda *_: vectors)",
    "input_mask": "the argument is called attention_mask",
    "label": "the argument is called labels",
    "label_ids": "the argument is called labels",
    "lm_labels": "the argument is called labels",
    "masked_lm_labels": "the argument is called labels",
    "output_all_encoded_layers": "remove it, or pass output_hidden_states=True for all layers",
    "segment_ids": "the argument is called token_type_ids",
    # Arguments and attributes of a tokenizer
    "never_split": "list such tokens in additional_special_tokens",
    "clean_up_tokenization_spaces": "pass it to decode",
    "backend_tokenizer": "save_pretrained writes tokenizer.json for the tokenizers library",
    "get_added_vocab": "use tokenizer.added_tokens",
    "max_len": "it is called model_max_length",
    "pad_to_max_length": 'pass padding="max_length"',
    "text_target": "call the tokenizer for these texts, too",
    "basic_tokenizer": "use minibert.tokenization.normalize and tokenizer.normalization",
    "wordpiece_tokenizer": "it is tokenizer.wordpiece; split(word) returns the tokens of a word",
    "ids_to_tokens": "use tokenizer.convert_ids_to_tokens",
    "is_fast": "every call returns offsets and word numbers; both backends find them",
    "max_len_single_sentence": "use tokenizer.model_max_length - 2",
    "save_vocabulary": "use tokenizer.save_pretrained(folder)",
    "prepare_for_model": "call the tokenizer with texts, or pad ids with tokenizer.pad",
    # Fields and methods of a config
    "gradient_checkpointing": "remove it, and call model.gradient_checkpointing_enable()",
    "to_diff_dict": "use config.to_dict()",
    "to_json_file": "use config.save_pretrained(folder)",
    "to_json_string": "use json.dumps(config.to_dict(), indent=2)",
    "update": "use config = config.with_changes(...)",
    # Arguments of from_pretrained and save_pretrained
    "device_map": _TO_DEVICE,
    "load_in_4bit": "it does not quantize; for 16 bits pass dtype=torch.bfloat16",
    "load_in_8bit": "it does not quantize; for 16 bits pass dtype=torch.bfloat16",
    "quantization_config": "it does not quantize; for 16 bits pass dtype=torch.bfloat16",
    "is_main_process": "call save_pretrained in the main process only",
    "output_loading_info": "read model.load_report, which says what was loaded, new and unused",
    "state_dict": "load the model, then call model.load_state_dict(...)",
    "torchscript": "use torch.compile or torch.export",
    "subfolder": "give the path of the subfolder",
    "use_auth_token": "the argument is called token",
    "variant": "give a folder with the file that you want as model.safetensors",
}

# Arguments of from_pretrained and save_pretrained that change nothing here.
WITHOUT_EFFECT = frozenset(
    "_fast_init finetuning_task from_flax from_tf low_cpu_mem_usage max_shard_size mirror proxies "
    "resume_download return_dict save_function trust_remote_code use_fast use_safetensors "
    "verbose weights_only".split()
)


def explain(name: str) -> str:
    """Return the sentence that says what to use instead of a name."""
    return f"minibert has no {name}; {INSTEAD[name]}."


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `transformers` that minibert has, or that are unknown.

    Raises:
        MiniBertError: an option asks for something that minibert does otherwise.
    """
    for name in options.keys() & INSTEAD.keys():
        if options[name] is not None and options[name] is not False:
            raise MiniBertError(explain(name))
    return {n: v for n, v in options.items() if n not in INSTEAD and n not in WITHOUT_EFFECT}


def get_linear_schedule_with_warmup(
    optimizer: "Optimizer", num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> "LambdaLR":
    """Return a schedule for your own loop, equal to that of `transformers`.

    The learning rate of its first update is 0. `training/optimizer.py` has the schedule that
    minibert trains with.
    """
    from torch.optim.lr_scheduler import LambdaLR

    if num_training_steps < 1:  # `len(loader) // accumulation * epochs` of a short loader
        raise MiniBertError(
            f"num_training_steps is {num_training_steps}, so every learning rate would be 0; count "
            "the updates, rounded up: -(-batches // accumulation_steps) * epochs."
        )

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return step / num_warmup_steps
        left = max(0, num_training_steps - step)
        return left / max(1, num_training_steps - num_warmup_steps)

    return LambdaLR(optimizer, factor, last_epoch)
