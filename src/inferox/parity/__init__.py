"""The agreement of artifacts with the reference: samples, measurements, tolerances, and the evidence."""

from inferox.parity.array_file import read_arrays
from inferox.parity.evidence import ArtifactEvidence, RowAgreement, collect_evidence, measure_model
from inferox.parity.invariance import BatchInvariance, as_inherent, measure_invariance
from inferox.parity.measurement import measure
from inferox.parity.parity_target import Arrays, ParityTarget
from inferox.parity.proof import OWN_LIMIT, InputProof, ProofCase, ProofInput, ProofStatus, load_proof, save_proof
from inferox.parity.report import ParityReport
from inferox.parity.samples import SampleBatch, Samples
from inferox.parity.tolerance import LEAST_CLASS, TOLERANCES, Agreement, Limits, ParityClass, Tolerance, classify

__all__ = [
    "LEAST_CLASS",
    "OWN_LIMIT",
    "TOLERANCES",
    "Agreement",
    "Arrays",
    "ArtifactEvidence",
    "BatchInvariance",
    "InputProof",
    "Limits",
    "ParityClass",
    "ParityReport",
    "ParityTarget",
    "ProofCase",
    "ProofInput",
    "ProofStatus",
    "RowAgreement",
    "SampleBatch",
    "Samples",
    "Tolerance",
    "as_inherent",
    "classify",
    "collect_evidence",
    "load_proof",
    "measure",
    "measure_invariance",
    "measure_model",
    "read_arrays",
    "save_proof",
]
