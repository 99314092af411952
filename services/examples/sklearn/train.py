"""Trains a classifier of three kinds of irises on the data that scikit-learn ships, and writes it as ONNX.
Usage: train.py OUTPUT
"""

import sys

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

output = sys.argv[1]
iris = load_iris()
train, held_out, train_kinds, held_out_kinds = train_test_split(
    iris.data, iris.target, test_size=0.3, random_state=1, stratify=iris.target
)
model = make_pipeline(StandardScaler(), LogisticRegression(random_state=1)).fit(train, train_kinds)
print(f"held out: {model.score(held_out, held_out_kinds):.1%} right")

# Without zipmap the probabilities are one tensor, as the protocol needs them. A first dimension of None takes batches.
model_proto = to_onnx(
    model,
    initial_types=[("petals", FloatTensorType([None, 4]))],
    options={"zipmap": False},
    target_opset=17,
)
with open(output, "wb") as file:
    file.write(model_proto.SerializeToString())
print(f"wrote {output}; its labels: {','.join(iris.target_names)}")
