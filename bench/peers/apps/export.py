"""Writes the default model as ONNX: token ids and mask in, hidden states out. Usage: export.py MODEL OUT"""
import sys

import torch
from transformers import AutoModel

model = AutoModel.from_pretrained(sys.argv[1]).eval()


class Hidden(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


ids = torch.ones(2, 8, dtype=torch.long)
axes = {0: "batch", 1: "tokens"}
torch.onnx.export(
    Hidden(),
    (ids, ids),
    sys.argv[2],
    input_names=["input_ids", "attention_mask"],
    output_names=["hidden"],
    dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes},
    opset_version=17,
    dynamo=False,
)
