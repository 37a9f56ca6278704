"""`payment.*`: payments by the provider's page; what became of them is the provider's word, signed with `PAYMENT_WEBHOOK_SECRET`.

Prices are settings (`shop.offers`: `{"starter-pack": {"currency_code": "EUR", "minor_units": 499}}`), as is the provider's page
(`payment.checkout.url`). Every state that a payment was in is in the history of its bucket.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import UTC, timedelta
from urllib.parse import urlencode

from google.protobuf.struct_pb2 import Struct

from proto.generated.gaming.common.v1.types_pb2 import ENTITY_KIND_PLAYER, EntityReference, Money
from proto.generated.gaming.infrastructure.v1.auth_pb2 import CheckPermissionReply, CheckPermissionRequest
from proto.generated.gaming.infrastructure.v1.payment_pb2 import (
    PAYMENT_STATUS_FAILED,
    PAYMENT_STATUS_PAID,
    PAYMENT_STATUS_PENDING,
    PAYMENT_STATUS_REFUND_REQUESTED,
    PAYMENT_STATUS_REFUNDED,
    CreatePaymentReply,
    CreatePaymentRequest,
    NotifyPaymentReply,
    NotifyPaymentRequest,
    Payment,
    PaymentStatus,
    RefundPaymentReply,
    RefundPaymentRequest,
)
from reference_service.runtime import Runtime
from reference_service.validation import refuse, validate
from sdk.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UnauthenticatedError,
)

_LINK_SECONDS = 900
_OLDEST_REPORT = timedelta(days=1)
_CLOCKS_DIFFER = timedelta(minutes=5)
_NOTICE = "notice"
_SHORTEST_SECRET = 16
# What the provider may report of a payment in a state.
_NEXT = {
    PAYMENT_STATUS_PENDING: {PAYMENT_STATUS_PAID, PAYMENT_STATUS_FAILED},
    PAYMENT_STATUS_REFUND_REQUESTED: {PAYMENT_STATUS_REFUNDED},
}


async def create(runtime: Runtime, request: CreatePaymentRequest) -> CreatePaymentReply:
    """Begin a payment, at the price that the shop has now."""
    await _require(runtime, request.player_id, "payment.create")
    price = await _price(runtime, request.offer_id)
    if price != request.expected_amount:
        raise ConflictError(
            f"{request.offer_id} costs {price.minor_units} {price.currency_code} (smallest unit) by now"
        )
    payment = Payment(
        payment_id=uuid.uuid4().hex,
        player_id=request.player_id,
        offer_id=request.offer_id,
        amount=price,
        status=PAYMENT_STATUS_PENDING,
        created_at=runtime.stamp(),
        updated_at=runtime.stamp(),
    )
    url = await _checkout_url(runtime, payment)
    await runtime.store.add(payment)
    await _tell(runtime, payment)
    return CreatePaymentReply(payment=payment, checkout_url=url)


async def refund(runtime: Runtime, request: RefundPaymentRequest) -> RefundPaymentReply:
    """Have a payment given back with the provider's next settlement."""

    def ask_back(payment: Payment) -> None:
        if payment.status != PAYMENT_STATUS_PAID:
            raise ConflictError(
                f"{request.payment_id} is {PaymentStatus.Name(payment.status)}; only one that is paid is given back"
            )
        amount = request.amount if request.HasField("amount") else payment.amount
        if amount.currency_code != payment.amount.currency_code:
            raise refuse(
                "amount.currency_code", f"is {amount.currency_code}; it was paid in {payment.amount.currency_code}"
            )
        if not 0 < amount.minor_units <= payment.amount.minor_units:
            raise refuse("amount.minor_units", f"is {amount.minor_units}; allowed: 1 to {payment.amount.minor_units}")
        payment.status = PAYMENT_STATUS_REFUND_REQUESTED
        payment.refunded.CopyFrom(amount)
        payment.updated_at.CopyFrom(runtime.stamp())

    payment = await runtime.store.change(Payment, request.payment_id, edit=ask_back)
    await _tell(runtime, payment, reason=request.reason)
    return RefundPaymentReply(payment=payment)


async def notify(runtime: Runtime, request: NotifyPaymentRequest) -> NotifyPaymentReply:
    """Book what the provider reports; the signature is looked at before anything else."""
    if not hmac.compare_digest(signature(_secret(runtime), request), request.signature):
        raise UnauthenticatedError("the signature is not the provider's")
    validate(request)
    now = runtime.now()
    occurred = request.occurred_at.ToDatetime(UTC)
    if not now - _OLDEST_REPORT <= occurred <= now + _CLOCKS_DIFFER:
        raise refuse("occurred_at", "is more than a day ago, or in the future")
    if await runtime.store.find(Struct, _NOTICE, request.notification_id) is not None:
        return NotifyPaymentReply(duplicate=True)

    def book(payment: Payment) -> None:
        due = payment.refunded if request.status == PAYMENT_STATUS_REFUNDED else payment.amount
        if request.amount != due:
            raise ConflictError(f"{request.payment_id} is about {due.minor_units} {due.currency_code}")
        if payment.status == request.status:  # booked by one who died before it was noted
            return
        if request.status not in _NEXT.get(payment.status, set()):
            raise ConflictError(
                f"{request.payment_id} is {PaymentStatus.Name(payment.status)}, so it cannot become {PaymentStatus.Name(request.status)}"
            )
        payment.status = request.status
        payment.updated_at.CopyFrom(runtime.stamp())

    payment = await runtime.store.change(Payment, request.payment_id, edit=book)
    is_new = await runtime.store.add(Struct(), _NOTICE, request.notification_id)
    if is_new:
        await _tell(runtime, payment)
    return NotifyPaymentReply(duplicate=not is_new)


def signature(secret: bytes, request: NotifyPaymentRequest) -> bytes:
    """Return the provider's signature: over the fields in their order, joined by line feeds.

    An amount is `CURRENCY MINOR_UNITS`, a moment is as in protobuf's JSON.
    """
    fields = (
        request.notification_id,
        request.payment_id,
        str(request.status),
        f"{request.amount.currency_code} {request.amount.minor_units}",
        _moment(request),
    )
    return hmac.digest(secret, "\n".join(fields).encode(), hashlib.sha256)


def _moment(request: NotifyPaymentRequest) -> str:
    try:
        return request.occurred_at.ToJsonString()
    except ValueError:  # no moment at all; nobody signs that
        return ""


def _secret(runtime: Runtime) -> bytes:
    return _variable(runtime, "PAYMENT_WEBHOOK_SECRET")


def _variable(runtime: Runtime, name: str) -> bytes:
    value = runtime.variables.get(name, "")
    if len(value) < _SHORTEST_SECRET:
        raise ConfigurationError(f"{name} is not set, or shorter than {_SHORTEST_SECRET} characters")
    return value.encode()


async def _require(runtime: Runtime, player_id: str, permission: str) -> None:
    asked = CheckPermissionRequest(principal_id=player_id, permission=permission)
    if not (await runtime.ask("auth.permission.check", asked, CheckPermissionReply)).allowed:
        raise PermissionDeniedError(f"{player_id} may not: {permission}")


async def _price(runtime: Runtime, offer_id: str) -> Money:
    offers = await runtime.setting("shop.offers", None)
    if not isinstance(offers, dict):
        raise ServiceUnavailableError("the shop's offers (setting shop.offers) cannot be read now")
    offer = offers.get(offer_id)
    if not isinstance(offer, dict):
        raise NotFoundError(f"the shop has no offer {offer_id}")
    return Money(currency_code=str(offer["currency_code"]), minor_units=int(offer["minor_units"]))


async def _checkout_url(runtime: Runtime, payment: Payment) -> str:
    page = await runtime.setting("payment.checkout.url", None)
    if not isinstance(page, str):
        raise ServiceUnavailableError("the provider's page (setting payment.checkout.url) cannot be read now")
    fields = {
        "payment": payment.payment_id,
        "currency": payment.amount.currency_code,
        "amount": payment.amount.minor_units,
        "expires": int(runtime.now().timestamp()) + _LINK_SECONDS,
    }
    query = urlencode(fields)
    signed = hmac.digest(_variable(runtime, "PAYMENT_MERCHANT_KEY"), query.encode(), "sha256").hex()
    return f"{page}?{query}&signature={signed}"


async def _tell(runtime: Runtime, payment: Payment, **more: object) -> None:
    status = PaymentStatus.Name(payment.status).removeprefix("PAYMENT_STATUS_").lower().replace("_", "-")
    player = EntityReference(kind=ENTITY_KIND_PLAYER, id=payment.player_id)
    await runtime.tell(f"payment.{status}", player, payment_id=payment.payment_id, **more)


ANSWERS = {CreatePaymentRequest: create, RefundPaymentRequest: refund, NotifyPaymentRequest: notify}
UNCHECKED = frozenset({NotifyPaymentRequest})
