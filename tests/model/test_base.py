"""The folded base computes what the original computes."""

import torch
from transformers import BertConfig, BertModel

from training.base import fold_bert, load_base


def test_a_folded_bert_gives_the_outputs_of_the_bert_it_came_from() -> None:
    torch.manual_seed(3)
    config = BertConfig(vocab_size=90, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    bert = BertModel(config).eval()
    torch.nn.init.normal_(bert.embeddings.token_type_embeddings.weight)
    folded = fold_bert(bert.state_dict(), config).eval()
    ids = torch.randint(1, 90, (3, 17))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    with torch.no_grad():
        expected = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        found = folded(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], atol=2e-6, rtol=1e-5)


def test_the_base_that_the_package_carries_is_a_six_layer_distilbert_with_its_own_tokenizer() -> None:
    base = load_base("all-minilm-l6-v2")
    assert base.encoder.config.dim == 384
    assert len(base.encoder.transformer.layer) == 6
    assert base.tokenizer.encode("a harmless line", add_special_tokens=False).tokens == ["a", "harmless", "line"]
    assert base.tokenizer.truncation is None
