"""The analysis of a search as a response: growth of its front, and effect of each choice."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from search.errors import InvalidSpec
from search.plans.kinds import job_kind
from search.results.analysis import Analysis, analyse, box_of
from search.scoring.forgiving_factor import MAXIMIZE, factor_of
from search.space.choices import Choices
from search.spec.job import SearchSpec
from search.spec.resolved import resolve_model
from service.schemas.analysis import AnalysisView, SensitivityView
from service.store import analysis
from service.store.blobs import BlobStore
from service.store.models import Job
from service.store.references import BlobLookup


def analysis_view(session: Session, job: Job, blobs: BlobStore) -> AnalysisView:
    """Hypervolume over time, knee of the front, importance of every choice and sensitivity of every layer."""
    return _view(job, _analysis(session, job, blobs))


def _analysis(session: Session, job: Job, blobs: BlobStore) -> Analysis:
    spec = SearchSpec.model_validate(job.spec)
    factor = factor_of(spec)
    trials = analysis.analysed_trials(session, job, factor)
    is_share = spec.objective.info.is_share and factor.direction == MAXIMIZE
    return analyse(
        _space(spec, blobs), trials, box_of(trials, job.reference_cost, (0.0, 1.0) if is_share else None)
    )


def _space(spec: SearchSpec, blobs: BlobStore) -> Choices:
    """The job's choices; empty if its model cannot be read any more."""
    try:
        return job_kind(spec).choices(spec, resolve_model(spec.model, BlobLookup(blobs)))
    except InvalidSpec:
        return Choices(slots=(), widths=(), quantized=(), base_widths={})


def _view(job: Job, result: Analysis) -> AnalysisView:
    fields: dict[str, Any] = asdict(result)
    return AnalysisView(
        job_id=job.id,
        metric=SearchSpec.model_validate(job.spec).objective.metric,
        cost_unit=job.cost_unit,
        hypervolume=result.steps[-1].hypervolume if result.steps else 0.0,
        measured_sensitivity=None if job.sensitivity is None else SensitivityView(**job.sensitivity),
        **fields,
    )
