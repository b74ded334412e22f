"""``config/execution.yaml``: what may stand there, and reading it. Secrets stay ``SecretStr``, shown nowhere."""

from autotrader_lab.execution.config.reader import load_config
from autotrader_lab.execution.config.sections import (
    BROKERS,
    BinanceConfig,
    CoinbaseConfig,
    ExecutionConfig,
    FXCMConfig,
    IBKRConfig,
    OandaConfig,
    OKXConfig,
    OMSConfig,
    PaperConfig,
    ResiliencyConfig,
)

__all__ = [
    "BROKERS",
    "BinanceConfig",
    "CoinbaseConfig",
    "ExecutionConfig",
    "FXCMConfig",
    "IBKRConfig",
    "OKXConfig",
    "OMSConfig",
    "OandaConfig",
    "PaperConfig",
    "ResiliencyConfig",
    "load_config",
]
