"""`knowledge.search`: documents that share words with a question, and what a model takes for near."""

from __future__ import annotations

import re

from proto.generated.gaming.core_ai.v1.text_pb2 import EmbedTextReply, EmbedTextRequest
from proto.generated.gaming.specialized.v1.knowledge_pb2 import (
    Document,
    KnowledgeHit,
    SearchKnowledgeReply,
    SearchKnowledgeRequest,
)
from reference_service.runtime import Runtime

_WORD = re.compile(r"\w{3,}")
_PASSAGE = 300
_CANDIDATES = 20
_LIKELY_WORDS = 0.5


async def search(runtime: Runtime, request: SearchKnowledgeRequest) -> SearchKnowledgeReply:
    """Return the documents that fit best."""
    wanted = set(_words(request.query))
    hits = []
    for document in await runtime.store.every(Document):
        if not set(request.tags) <= set(document.tags):
            continue
        known = {*_words(document.title), *_words(document.body), *document.tags}
        shared = len(wanted & known) / len(wanted) if wanted else 0.0
        if shared:
            hits.append(
                KnowledgeHit(
                    document_id=document.document_id,
                    title=document.title,
                    passage=_passage(document.body, wanted),
                    score=shared,
                )
            )
    hits.sort(key=lambda hit: (-hit.score, hit.document_id))
    ranked = await _ranked(runtime, request.query, hits[:_CANDIDATES])
    return SearchKnowledgeReply(hits=[*ranked, *hits[_CANDIDATES:]][: request.limit or 10])


async def _ranked(runtime: Runtime, query: str, hits: list[KnowledgeHit]) -> list[KnowledgeHit]:
    """Order hits by their vectors too; without a model they stay as they are."""
    if len(hits) < 2:  # noqa: PLR2004  # one has no order
        return hits
    reply = await runtime.hope(
        "ai.text.embed", EmbedTextRequest(texts=[query, *(hit.passage for hit in hits)]), EmbedTextReply
    )
    if reply is None or len(reply.embeddings) != len(hits) + 1:
        return hits
    asked, *told = [embedding.values for embedding in reply.embeddings]
    for hit, values in zip(hits, told, strict=True):
        near = sum(one * other for one, other in zip(asked, values, strict=False))
        hit.score = _LIKELY_WORDS * hit.score + (1 - _LIKELY_WORDS) * max(0.0, min(1.0, near))
    return sorted(hits, key=lambda hit: (-hit.score, hit.document_id))


def _passage(body: str, wanted: set[str]) -> str:
    """Return the part of a text that begins shortly before the first word that is looked for."""
    first = next((match.start() for match in _WORD.finditer(body) if match[0].lower() in wanted), 0)
    start = max(0, first - _PASSAGE // 4)
    return body[start : start + _PASSAGE]


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


ANSWERS = {SearchKnowledgeRequest: search}
