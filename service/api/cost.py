"""The cost of a network, without a job: energy by layer, other costs, and the energy profiles."""

from __future__ import annotations

from fastapi import APIRouter, Response

from search.cost import profiles
from service.api.compute import COMPUTES, ComputeDep
from service.api.deps import READS, BodyDep
from service.api.responses import problem_responses
from service.schemas.cost import NetworkCostView, ProfileList, ProfileView

router = APIRouter(prefix="/v1", tags=["cost"], dependencies=[READS])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CostSpec"}}},
    }
}
_REFUSED = problem_responses(
    _400="The body is not JSON",
    _413="The body is too large",
    _415="The body is not application/json",
    _422="The request is not valid: a pointer and a message for each fault",
)


@router.post(
    "/cost",
    dependencies=[COMPUTES],
    openapi_extra=_BODY,
    responses=_REFUSED,
    response_model=NetworkCostView,
)
def cost(body: BodyDep, compute: ComputeDep) -> Response:
    """The cost of one inference of a network, as it is or with the given quantizers. Nothing is stored or trained."""
    return Response(compute("cost", body), media_type="application/json")


@router.get("/profiles")
def list_profiles() -> ProfileList:
    """The energy profiles that are part of fewbits, with the source of every figure."""
    return ProfileList(items=tuple(ProfileView.model_validate(profile) for profile in profiles.built_in()))
