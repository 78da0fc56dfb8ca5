"""A random search with keras-tuner over models of qkeras-v3, as its users write it. Does not import fewbits.

python keras_tuner_qkeras.py JOB.json: reads the job, prints a JSON object a trial and one at the end.
"""

import json
import os
import sys
import tempfile
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
import qkeras
from usage import used

with open(sys.argv[1]) as file:
    job = json.load(file)
data = np.load(job["data"])
began = time.perf_counter()


def build(hp):
    chosen = {name: hp.Choice(name, labels) for name, labels in job["dimensions"].items()}
    quantizers = {tuple(slot): chosen[name] for name, slots in job["slots"].items() for slot in slots}
    x = inputs = keras.Input(job["input_shape"])
    for layer in job["layers"]:
        x = quantized(layer["class_name"], dict(layer["config"]), quantizers)(x)
    model = keras.Model(inputs, x)
    model.compile(
        optimizer=keras.optimizers.Adam(job["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def quantized(class_name, config, quantizers):
    name = config["name"]
    if class_name in ("Dense", "Conv2D"):
        config["kernel_quantizer"] = quantizers[name, "kernel"]
        if config["use_bias"]:
            config["bias_quantizer"] = quantizers[name, "bias"]
        return getattr(qkeras, f"Q{class_name}")(**config)
    if (name, "activation") in quantizers:
        return qkeras.QActivation(quantizers[name, "activation"], name=name)
    return getattr(keras.layers, class_name)(**config)


class Timed(keras_tuner.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        start = time.perf_counter()
        results = super().run_trial(trial, *args, **kwargs)
        report = {
            "values": trial.hyperparameters.values,
            "metric": best_of(results),
            "trial_s": time.perf_counter() - start,
            "since_s": time.perf_counter() - began,
        }
        print(json.dumps(report), flush=True)
        return results


def best_of(histories):
    histories = histories if isinstance(histories, list) else [histories]
    return max(max(history.history["val_accuracy"]) for history in histories)


with tempfile.TemporaryDirectory() as folder:
    tuner = Timed(
        build,
        objective=keras_tuner.Objective("val_accuracy", "max"),
        max_trials=job["trials"],
        seed=job["seed"],
        directory=folder,
        project_name="search",
    )
    tuner.search(
        data["x_train"],
        data["y_train"],
        batch_size=job["batch_size"],
        epochs=job["epochs"],
        validation_data=(data["x_validation"], data["y_validation"]),
        verbose=0,
    )
print(json.dumps(used()))
