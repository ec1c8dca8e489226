"""Tasks, which give a model's numbers their meaning: from texts and images to tensors, and back to answers.

The names below are imported on first use: code that only passes answers on needs no tokenizer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferox.tasks.answer_agreement import AnswerAgreement, agree
    from inferox.tasks.answers import AnswerDifference, compare_answers, find_answer_scale, is_finite_answer
    from inferox.tasks.classify import ClassifyTask
    from inferox.tasks.embed import EmbedTask
    from inferox.tasks.files.detection import TaskChoice, choose_task, detect_task
    from inferox.tasks.image_classify import ImageClassifyTask
    from inferox.tasks.image_file import ImageFile
    from inferox.tasks.labels import LabelScore, Span
    from inferox.tasks.proof_comparison import (
        StageDifference,
        answer_cases,
        compare_row,
        encode_input,
        thin_tokens,
        to_proof_answer,
        with_prompt,
    )
    from inferox.tasks.ranking import RankedDocument
    from inferox.tasks.raw import RawTask
    from inferox.tasks.registry import TASK_NAMES, open_task
    from inferox.tasks.rerank import RerankTask
    from inferox.tasks.results import to_json
    from inferox.tasks.task import Task
    from inferox.tasks.tensor_files import read_tensors
    from inferox.tasks.text_result import TextResult
    from inferox.tasks.token_classify import TokenClassifyTask
    from inferox.tasks.tokenizer import TextTokenizer
    from inferox.tasks.tokenizer_border import translated_panics
    from inferox.tasks.truncation import CUT_TOKENS
    from inferox.tasks.vector_forms import VectorForm

_HOMES = {
    "CUT_TOKENS": "truncation",
    "TASK_NAMES": "registry",
    "AnswerAgreement": "answer_agreement",
    "AnswerDifference": "answers",
    "ClassifyTask": "classify",
    "EmbedTask": "embed",
    "ImageClassifyTask": "image_classify",
    "ImageFile": "image_file",
    "LabelScore": "labels",
    "RankedDocument": "ranking",
    "RawTask": "raw",
    "RerankTask": "rerank",
    "Span": "labels",
    "StageDifference": "proof_comparison",
    "Task": "task",
    "TaskChoice": "files.detection",
    "TextResult": "text_result",
    "TextTokenizer": "tokenizer",
    "TokenClassifyTask": "token_classify",
    "VectorForm": "vector_forms",
    "agree": "answer_agreement",
    "answer_cases": "proof_comparison",
    "choose_task": "files.detection",
    "compare_answers": "answers",
    "compare_row": "proof_comparison",
    "detect_task": "files.detection",
    "encode_input": "proof_comparison",
    "find_answer_scale": "answers",
    "is_finite_answer": "answers",
    "open_task": "registry",
    "read_tensors": "tensor_files",
    "thin_tokens": "proof_comparison",
    "to_json": "results",
    "to_proof_answer": "proof_comparison",
    "translated_panics": "tokenizer_border",
    "with_prompt": "proof_comparison",
}

__all__ = [
    "CUT_TOKENS",
    "TASK_NAMES",
    "AnswerAgreement",
    "AnswerDifference",
    "ClassifyTask",
    "EmbedTask",
    "ImageClassifyTask",
    "ImageFile",
    "LabelScore",
    "RankedDocument",
    "RawTask",
    "RerankTask",
    "Span",
    "StageDifference",
    "Task",
    "TaskChoice",
    "TextResult",
    "TextTokenizer",
    "TokenClassifyTask",
    "VectorForm",
    "agree",
    "answer_cases",
    "choose_task",
    "compare_answers",
    "compare_row",
    "detect_task",
    "encode_input",
    "find_answer_scale",
    "is_finite_answer",
    "open_task",
    "read_tensors",
    "thin_tokens",
    "to_json",
    "to_proof_answer",
    "translated_panics",
    "with_prompt",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
