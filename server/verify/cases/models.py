"""Cases of the list of models."""

from interference.v1.models_pb2 import ListModelsRequest
from server.verify.case import Case, Fault, NotHad, expect, shown
from server.verify.cases.asking import chat, replied
from server.verify.peer import Peer, Refused
from server.verify.services import CHAT, LIST, SERVICES

_ASKED = 3  # models


async def _list(peer: Peer) -> str:
    [listed] = await peer.once("models/list", LIST, ListModelsRequest())
    expect(listed.object == "list", f"the object {shown(listed.object)}")
    ids = [model.id for model in listed.data]
    expect(ids, "no model")
    expect(all(ids), "a model without an id")
    expect(len(set(ids)) == len(ids), "an id that stands twice")
    others = {model.object for model in listed.data} - {"model"}
    expect(not others, f"the object {shown(next(iter(others), ''))} of a model")
    return f"{len(ids)} models: {shown(', '.join(ids[:_ASKED]), 80)}"


async def _answers(peer: Peer) -> str:
    [listed] = await peer.once("models/list", LIST, ListModelsRequest())
    word = SERVICES["chat"].capability
    chatting = [model.id for model in listed.data if not model.capabilities or word in model.capabilities]
    asked = [peer.named] if peer.named else chatting[:_ASKED]
    if CHAT not in peer.had or not asked:
        raise NotHad("no model that chats")
    for model in asked:
        try:
            replied(await peer.call(CHAT, chat(peer, model=model)))
        except Refused as refused:
            raise Fault(f"for {shown(model)}: {refused}") from None
    return f"asked {shown(', '.join(asked), 80)}, of {len(chatting)}"


CASES = (
    Case(
        "models/list",
        "models",
        asks="ListModels",
        wants="`object` `list`, and models with ids that differ and `object` `model`",
        mend="set them; without a list of its own the plug-in needs no Models service: the row names the "
        "models",
        check=_list,
    ),
    Case(
        "models/answers",
        "models",
        asks=f"hello of the model named with --model, or of those of the list that chat, {_ASKED} at most",
        wants="an answer of each",
        mend="list only what can be asked for, by the names that `model` takes, and `capabilities` of each",
        check=_answers,
    ),
)
