"""Makes a tiny language model that was never trained, with a tokenizer of bytes: `random_model.py FOLDER`. 2.4 MB."""

import json
import os
import pathlib
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

SPECIAL = ["<s>", "</s>"]
VOCABULARY = 4096


def main(folder):
    unfinished = folder.with_name(f"{folder.name}.new")
    torch.manual_seed(7)
    # So wide a range of weights keeps greedy answers from repeating themselves.
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=8192,
        initializer_range=0.35,
        bos_token_id=0,
        eos_token_id=1,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(unfinished)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = SPECIAL + alphabet
    names += [f"<{id}>" for id in range(len(names), VOCABULARY)]
    tokenizer = Tokenizer(models.BPE(vocab={name: id for id, name in enumerate(names)}, merges=[]))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(unfinished / "tokenizer.json"))
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "chat_template": "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:",
    }
    (unfinished / "tokenizer_config.json").write_text(json.dumps(facts))
    os.replace(unfinished, folder)


main(pathlib.Path(sys.argv[1]))
