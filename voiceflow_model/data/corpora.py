"""Every kind of corpus that a run configuration can name."""

from typing import Annotated

from pydantic import Field

from voiceflow_model.data.annotated import AnnotatedCorpus, AnnotatedCorpusConfig
from voiceflow_model.data.corpus import Corpus
from voiceflow_model.data.espeak import EspeakCorpus, EspeakCorpusConfig
from voiceflow_model.data.files import FilesCorpus, FilesCorpusConfig
from voiceflow_model.data.parquet import ParquetCorpus, ParquetCorpusConfig
from voiceflow_model.data.recordings import RecordingsCorpus, RecordingsCorpusConfig
from voiceflow_model.data.tars import TarCorpus, TarCorpusConfig

CorpusConfig = Annotated[
    EspeakCorpusConfig
    | FilesCorpusConfig
    | ParquetCorpusConfig
    | TarCorpusConfig
    | RecordingsCorpusConfig
    | AnnotatedCorpusConfig,
    Field(discriminator="kind"),
]


def open_corpus(config: CorpusConfig) -> Corpus:
    """The corpus that `config` describes; nothing is read yet."""
    match config:
        case EspeakCorpusConfig():
            return EspeakCorpus(config)
        case FilesCorpusConfig():
            return FilesCorpus(config)
        case ParquetCorpusConfig():
            return ParquetCorpus(config)
        case TarCorpusConfig():
            return TarCorpus(config)
        case RecordingsCorpusConfig():
            return RecordingsCorpus(config)
        case AnnotatedCorpusConfig():
            return AnnotatedCorpus(config)
