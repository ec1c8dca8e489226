"""The purposes of transformers' classes, by the tables from which its pipelines choose them."""

from __future__ import annotations

from transformers.models.auto import modeling_auto

_PURPOSES = {
    "QUESTION_ANSWERING": "finds the answer to a question in a text",
    "TABLE_QUESTION_ANSWERING": "finds the answer to a question in a table",
    "DOCUMENT_QUESTION_ANSWERING": "answers questions about pictures of documents",
    "VISUAL_QUESTION_ANSWERING": "answers questions about images",
    "MULTIPLE_CHOICE": "chooses among several answers",
    "NEXT_SENTENCE_PREDICTION": "says whether one sentence follows another",
    "SPEECH_SEQ_2_SEQ": "transcribes or translates speech, with an encoder and a decoder",
    "CTC": "transcribes speech",
    "RNNT": "transcribes speech",
    "TDT": "transcribes speech",
    "AUDIO_CLASSIFICATION": "classifies audio",
    "AUDIO_FRAME_CLASSIFICATION": "classifies the frames of audio",
    "AUDIO_XVECTOR": "gives vectors of speakers from audio",
    "TEXT_TO_SPECTROGRAM": "makes speech from text",
    "TEXT_TO_WAVEFORM": "makes audio from text",
    "ZERO_SHOT_IMAGE_CLASSIFICATION": "compares texts with images, with an encoder for each",
    "ZERO_SHOT_OBJECT_DETECTION": "finds objects in images by a description in text",
    "OBJECT_DETECTION": "finds objects in images",
    "KEYPOINT_DETECTION": "finds key points in images",
    "KEYPOINT_MATCHING": "matches the key points of two images",
    "POSE_ESTIMATION": "finds the poses of people in images",
    "IMAGE_SEGMENTATION": "segments images",
    "SEMANTIC_SEGMENTATION": "segments images",
    "INSTANCE_SEGMENTATION": "segments the objects in images",
    "UNIVERSAL_SEGMENTATION": "segments images",
    "MASK_GENERATION": "segments images by points or boxes",
    "IMAGE_MATTING": "separates the foreground of images",
    "DEPTH_ESTIMATION": "estimates depth from images",
    "NORMAL_ESTIMATION": "estimates surface normals from images",
    "POINTMAP_ESTIMATION": "estimates points in space from images",
    "IMAGE_TO_IMAGE": "makes images from images",
    "VIDEO_CLASSIFICATION": "classifies videos",
    "TABLE_RECOGNITION": "reads tables in images",
    "TEXT_RECOGNITION": "reads text in images",
    "TIME_SERIES_CLASSIFICATION": "classifies time series",
    "TIME_SERIES_REGRESSION": "predicts a quantity from time series",
    "TIME_SERIES_PREDICTION": "predicts time series",
    "RETRIEVAL": "gives a vector for each token of a text or part of a page",
    "SEQ_TO_SEQ_CAUSAL_LM": "generates text with an encoder and a decoder",
    "IMAGE_TEXT_TO_TEXT": "generates text about images",
    "MULTIMODAL_LM": "generates text from text, images or audio",
    "MASKED_LM": "predicts masked tokens",
    "CAUSAL_LM": "generates text",
    "PRETRAINING": "computes what it was pretrained on",
}
"""The purpose of each table's classes; the more specific tables come first, since a class may be in several."""


_INPUTS = {
    "input_values": "audio",
    "input_features": "audio",
    "audio_mel": "audio",
    "pixel_values_videos": "videos",
    "past_values": "time series",
}
"""The contents of inputs of transformers' classes, where their names do not tell."""


def _names(table: str) -> set[str]:
    values = getattr(modeling_auto, f"MODEL_FOR_{table}_MAPPING_NAMES", {}).values()
    return {name for value in values for name in ([value] if isinstance(value, str) else value)}


def describe_purpose(architecture: str) -> str | None:
    """Describes what a class does, such as "finds objects in images"; ``None`` if no table of transformers lists it."""
    return next((purpose for table, purpose in _PURPOSES.items() if architecture in _names(table)), None)


def describe_input(name: str) -> str:
    """Describes an input of transformers' classes, with its name."""
    return f"{_INPUTS[name]} ({name})" if name in _INPUTS else name


def is_two_tower(architecture: str) -> bool:
    """Returns whether a class needs texts and images at once, as CLIP does."""
    return architecture in _names("ZERO_SHOT_IMAGE_CLASSIFICATION")
