"""Every kind of corpus that a run configuration can name."""

from typing import Annotated

from pydantic import Field

from voiceflow_model.data.corpus import Corpus
from voiceflow_model.data.espeak import EspeakCorpus, EspeakCorpusConfig
from voiceflow_model.data.files import FilesCorpus, FilesCorpusConfig

CorpusConfig = Annotated[EspeakCorpusConfig | FilesCorpusConfig, Field(discriminator="kind")]


def open_corpus(config: CorpusConfig) -> Corpus:
    """The corpus that `config` describes; nothing is read yet."""
    if isinstance(config, EspeakCorpusConfig):
        return EspeakCorpus(config)
    return FilesCorpus(config)
