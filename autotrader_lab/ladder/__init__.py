"""The ladder: what a strategy must show at one stage before the next one opens. Pure rules over the journal."""

from autotrader_lab.ladder.evidence import EVIDENCE_KINDS, Evidence, evidence
from autotrader_lab.ladder.gates import Check, Verdict, climb, evaluate
from autotrader_lab.ladder.parity import Comparison, Parity, Touch, parity
from autotrader_lab.ladder.profiles import PROFILES, REHEARSAL, STANDARD, Profile, Requirements, check_profile, profile
from autotrader_lab.ladder.stages import STAGES, Stage, label

__all__ = [
    "EVIDENCE_KINDS",
    "PROFILES",
    "REHEARSAL",
    "STAGES",
    "STANDARD",
    "Check",
    "Comparison",
    "Evidence",
    "Parity",
    "Profile",
    "Requirements",
    "Stage",
    "Touch",
    "Verdict",
    "check_profile",
    "climb",
    "evaluate",
    "evidence",
    "label",
    "parity",
    "profile",
]
