"""AutoQKeras on its last working stack (TensorFlow 2.12, qkeras 0.9, keras-tuner 1.3.5). Does not import fewbits.

python autoqkeras.py JOB.json: reads the job, prints a JSON object a trial and one at the end.
"""

import contextlib
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_tuner
import numpy as np
import tensorflow as tf
from qkeras.autoqkeras import AutoQKeras
from usage import used

with open(sys.argv[1]) as file:
    job = json.load(file)
data = np.load(job["data"])
began = time.perf_counter()
layers = tf.keras.layers


def float_model():
    x = inputs = layers.Input(job["input_shape"])
    for layer in job["layers"]:
        x = getattr(layers, layer["class_name"])(**layer["config"])(x)
    model = tf.keras.Model(inputs, x)
    model.compile(
        optimizer=tf.keras.optimizers.legacy.Adam(job["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["acc"],
    )
    return model


run_trial = keras_tuner.RandomSearch.run_trial


def timed(self, trial, *args, **kwargs):
    start = time.perf_counter()
    results = run_trial(self, trial, *args, **kwargs)
    histories = results if isinstance(results, list) else [results]
    report = {
        "values": trial.hyperparameters.values,
        "metric": max(max(history.history["val_acc"]) for history in histories),
        "score": max(max(history.history["val_score"]) for history in histories),
        "trial_s": time.perf_counter() - start,
        "since_s": time.perf_counter() - began,
    }
    print(json.dumps(report), file=sys.__stdout__, flush=True)
    return results


keras_tuner.RandomSearch.run_trial = timed

with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    search = AutoQKeras(
        float_model(),
        output_dir=os.path.join(folder, "result"),
        metrics=["acc"],
        goal=job["goal"],
        quantization_config=job["quantization_config"],
        limit=job["limit"],
        learning_rate_optimizer=False,
        transfer_weights=False,
        mode="random",
        seed=job["seed"],
        tune_filters="none",
        tune_filters_exceptions="^dense$",
        max_trials=job["trials"],
        overwrite=True,
    )
    search.fit(
        data["x_train"],
        data["y_train"],
        validation_data=(data["x_validation"], data["y_validation"]),
        batch_size=job["batch_size"],
        epochs=job["epochs"],
        verbose=0,
    )
print(json.dumps(used()))
