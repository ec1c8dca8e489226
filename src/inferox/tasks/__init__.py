"""What the numbers mean: from text and images to tensors, and back to answers."""

from inferox.tasks.detect import TaskChoice, choose_task, detect_task
from inferox.tasks.embed import EmbedTask
from inferox.tasks.raw import RawTask
from inferox.tasks.registry import TASK_NAMES, open_task
from inferox.tasks.task import Task
from inferox.tasks.tokenizer import TextTokenizer

__all__ = [
    "TASK_NAMES",
    "EmbedTask",
    "RawTask",
    "Task",
    "TaskChoice",
    "TextTokenizer",
    "choose_task",
    "detect_task",
    "open_task",
]
