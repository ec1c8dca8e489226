"""Tasks, or what a model's numbers mean: from texts and images to tensors, and back to answers."""

from inferox.tasks.answer_agreement import AnswerAgreement, agree
from inferox.tasks.answers import AnswerDifference, compare_answers, find_answer_scale, is_finite_answer
from inferox.tasks.classify import ClassifyTask
from inferox.tasks.embed import EmbedTask
from inferox.tasks.files.detection import TaskChoice, choose_task, detect_task
from inferox.tasks.image_classify import ImageClassifyTask
from inferox.tasks.image_file import ImageFile
from inferox.tasks.labels import LabelScore
from inferox.tasks.proof_comparison import (
    StageDifference,
    answer_cases,
    compare_row,
    encode_input,
    thin_tokens,
    to_proof_answer,
    with_prompt,
)
from inferox.tasks.raw import RawTask
from inferox.tasks.registry import TASK_NAMES, open_task
from inferox.tasks.rerank import RankedDocument, RerankTask
from inferox.tasks.results import to_json
from inferox.tasks.task import Task
from inferox.tasks.tensor_files import read_tensors
from inferox.tasks.token_classify import Span, TokenClassifyTask
from inferox.tasks.tokenizer import TextTokenizer
from inferox.tasks.tokenizer_border import translated_panics
from inferox.tasks.truncation import CUT_TOKENS

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
    "TextTokenizer",
    "TokenClassifyTask",
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
