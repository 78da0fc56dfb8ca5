"""The cost of a network, without a job: energy by layer, the other costs, and where the figures come from."""

from __future__ import annotations

from fastapi import APIRouter

from search.cost import profiles
from search.cost.answer import price_network
from search.errors import InvalidSpec
from service.api.deps import READS, BlobsDep, CostDep
from service.api.responses import problem_responses
from service.parsing import refused
from service.schemas.cost import NetworkCostView, ProfileList, ProfileView
from service.store.references import BlobLookup

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
    _422="The network cannot be priced as written: a pointer and a message for each fault",
)


@router.post("/cost", openapi_extra=_BODY, responses=_REFUSED)
def cost(question: CostDep, blobs: BlobsDep) -> NetworkCostView:
    """What one inference of a network costs, quantized as given or as it is. Nothing is stored or trained."""
    try:
        answer = price_network(question.spec, BlobLookup(blobs)).answer()
    except InvalidSpec as error:
        raise refused(error, question.document) from None
    return NetworkCostView.model_validate(answer)


@router.get("/profiles")
def list_profiles() -> ProfileList:
    """The energy profiles that come with fewbits, with the source of every figure."""
    return ProfileList(items=tuple(ProfileView.model_validate(profile) for profile in profiles.built_in()))
