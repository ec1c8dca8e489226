"""What lies on disk: writing, reading and verifying packages."""

from inferox.package.archive import ALIGNMENT_BYTES, ARCHIVE_SUFFIX
from inferox.package.array_file import read_arrays
from inferox.package.evidence import ArtifactEvidence, ParityReport, RowAgreement, collect_evidence, measure_model
from inferox.package.fields import Fields
from inferox.package.invariance import BatchInvariance, as_inherent, measure_invariance
from inferox.package.manifest import FORMAT_VERSION, FileEntry, Metadata, ModelInfo, read_json
from inferox.package.measurement import measure
from inferox.package.parity import LEAST_CLASS, TOLERANCES, Agreement, Limits, ParityClass, Tolerance, classify
from inferox.package.proof import OWN_LIMIT, InputProof, ProofCase, ProofInput, ProofStatus, load_proof, save_proof
from inferox.package.reader import Package, open_package
from inferox.package.reading import Arrays, Reading
from inferox.package.samples import SampleBatch, Samples
from inferox.package.store import Store, write_json
from inferox.package.writer import PackageWriter

__all__ = [
    "ALIGNMENT_BYTES",
    "ARCHIVE_SUFFIX",
    "FORMAT_VERSION",
    "LEAST_CLASS",
    "OWN_LIMIT",
    "TOLERANCES",
    "Agreement",
    "Arrays",
    "ArtifactEvidence",
    "BatchInvariance",
    "Fields",
    "FileEntry",
    "InputProof",
    "Limits",
    "Metadata",
    "ModelInfo",
    "Package",
    "PackageWriter",
    "ParityClass",
    "ParityReport",
    "ProofCase",
    "ProofInput",
    "ProofStatus",
    "Reading",
    "RowAgreement",
    "SampleBatch",
    "Samples",
    "Store",
    "Tolerance",
    "as_inherent",
    "classify",
    "collect_evidence",
    "load_proof",
    "measure",
    "measure_invariance",
    "measure_model",
    "open_package",
    "read_arrays",
    "read_json",
    "save_proof",
    "write_json",
]
