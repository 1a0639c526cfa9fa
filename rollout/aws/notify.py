"""Notifications to people: SNS topics by urgency, and whatever else the stack names (Slack, Teams, PagerDuty, mail, ...).

The other services are addressed by `Apprise <https://appriseit.com>`_ URLs, which hold their credentials. No message of this
module shows a URL, only the name of its service and its place in the configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rollout.aws.failures import AWS_ERRORS, failure
from rollout.control.ports import Notifier, PortError

if TYPE_CHECKING:
    from apprise import NotifyBase

URGENCY = {
    "immediate": "failure",
    "warning": "warning",
    "notice": "info",
}  # as services colour, or PagerDuty ranks, a message


@dataclass(frozen=True, slots=True)
class SnsNotifier:
    """``topics``: tier (immediate, warning, notice) -> topic ARN; ``env`` begins every subject."""

    sns: Any
    topics: Mapping[str, str]
    env: str

    async def send(self, topic: str, subject: str, body: str) -> str:
        # SNS takes one line of at most 100 characters of printable ASCII as a subject.
        text = " ".join(f"[{self.env}] {subject}".split()).encode("ascii", "replace").decode()[:100]

        def publish() -> None:
            self.sns.publish(TopicArn=self.topics[topic], Subject=text, Message=body)

        try:
            await asyncio.to_thread(publish)
        except AWS_ERRORS as error:
            raise PortError(failure(error, "sns:Publish", f"topic {self.topics[topic]}")) from error
        return ""


@dataclass(frozen=True, slots=True)
class UrlNotifier:
    """One service by its Apprise URL, the ``number``-th of its tier."""

    url: str
    number: int
    env: str

    async def send(self, topic: str, subject: str, body: str) -> str:
        service = _service(self.url)
        if service is None:
            raise PortError(unknown_service(topic, self.number))
        title = " ".join(f"[{self.env}] {subject}".split())
        notify = partial(service.notify, body=body, title=title, notify_type=URGENCY[topic])
        if not await asyncio.to_thread(notify):  # it logs why, with parts of its URL, and says only whether
            raise PortError(
                f"{service.service_name} did not accept the message (notifyUrls.{topic}[{self.number}])"
            )
        return ""


@dataclass(frozen=True, slots=True)
class AllNotifiers:
    """All services of a tier at once. One that accepts is enough: the others are named, none of them keeps it waiting."""

    by_tier: Mapping[str, Sequence[Notifier]]

    async def send(self, topic: str, subject: str, body: str) -> str:
        sent = (notifier.send(topic, subject, body) for notifier in self.by_tier[topic])
        answers = await asyncio.gather(*sent, return_exceptions=True)
        refused = "; ".join(
            str(answer) or repr(answer) for answer in answers if isinstance(answer, Exception)
        )
        if all(isinstance(answer, Exception) for answer in answers):
            raise PortError(refused)
        return refused


def notifier(
    sns: Any, topics: Mapping[str, str], urls: Mapping[str, Sequence[str]], env: str
) -> AllNotifiers:
    """``urls``: tier -> Apprise URLs."""
    topic_of_each = SnsNotifier(sns, topics, env)
    others = {tier: [UrlNotifier(url, n, env) for n, url in enumerate(urls.get(tier, ()))] for tier in topics}
    return AllNotifiers({tier: (topic_of_each, *others[tier]) for tier in topics})


def unknown_services(urls: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong with each URL that names no service, in words that do not show it."""
    return [
        unknown_service(tier, number)
        for tier, of_tier in urls.items()
        for number, url in enumerate(of_tier)
        if _service(url) is None
    ]


def unknown_service(tier: str, number: int) -> str:
    place = f"simple378:notifyUrls.{tier}[{number}]"
    return (
        f"{place} is not a URL of a service that Apprise knows (such as slack://TOKEN_A/TOKEN_B/TOKEN_C/#channel): "
        f"`pulumi config set --secret --path '{place}'` and `pulumi up`"
    )


def _service(url: str) -> NotifyBase | None:
    import apprise  # noqa: PLC0415 -- 0.15 s that only those who use it should wait

    found = apprise.Apprise.instantiate(url)
    return found if isinstance(found, apprise.NotifyBase) else None
