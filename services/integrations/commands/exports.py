# SPDX-License-Identifier: EUPL-1.2
"""Acts on exports: asked for, written piece by piece, opened for a while, and gone after a week."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col

from services.integrations import queries, rules
from services.integrations.events import (
    ExportDownloaded,
    ExportExpired,
    ExportFailed,
    ExportLinkIssued,
    ExportProgressed,
    ExportReady,
    ExportRequested,
    ExportStarted,
)
from services.integrations.models import Export, ExportPiece
from services.integrations.rules import ExportFailure, ExportKind, ExportState
from services.kernel import jobs
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.kernel.encryption import Vault
from services.kernel.lines import Batch

EXPORT = "exports.write"
EXPIRE = "exports.expire"


async def create_export(uow: UnitOfWork, *, kind: ExportKind, since: datetime | None, until: datetime | None) -> Export:
    """Ask for everything of one kind that the actor may see, of a period; without an end, up to now."""
    uow.actor.require(Permission.EXPORT_READ)
    uow.actor.require(rules.EXPORT_NEEDS[kind])
    until = rules.check_period(since, until, now=uow.now)
    rules.check_number_of_exports(await queries.number_of_exports(uow))
    row = Export(
        tenant_id=uow.tenant_id,
        membership_id=uow.actor.membership_id,
        api_client_id=uow.actor.client_id,
        grants=rules.written_grants(uow.actor.grants),
        kind=kind,
        since=since,
        until=until,
    )
    uow.add(row)
    await jobs.schedule(uow, EXPORT, row.id)
    uow.emit(ExportRequested(export_id=row.id, export_kind=kind, since=since, until=until))
    return row


async def issue_export_link(uow: UnitOfWork, vault: Vault, *, export_id: UUID) -> tuple[Export, str, datetime]:
    """A token that opens an export of the actor's own for a quarter of an hour, and when it ends."""
    uow.actor.require(Permission.EXPORT_READ)
    row = await queries.own_export(uow, export_id)
    if row.state is not ExportState.READY:
        raise rules.ExportIsNotReady(field=("exportId",))
    ends = (uow.now + rules.EXPORT_LINK_LIFE).replace(microsecond=0)
    content = rules.link_content(uow.tenant_id, row.id, ends)
    uow.emit(ExportLinkIssued(export_id=row.id))
    return row, rules.link_token(content, vault.sign(rules.LINK_PURPOSE, content)), ends


async def begin_export(uow: UnitOfWork, *, export_id: UUID) -> Export:
    """Take an export that waits into work; one that is in work goes on where it stopped."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.export_for_update(uow, export_id)
    if row.state is ExportState.QUEUED:
        row.state = ExportState.RUNNING
        uow.emit(ExportStarted(export_id=row.id))
    return row


async def extend_export(uow: UnitOfWork, *, export_id: UUID, batch: Batch) -> Export:
    """Keep the next lines; after the last ones the export is ready, and when it grows too large it has failed."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.export_for_update(uow, export_id)
    content, told = b"".join(batch.content), row.lines // rules.EXPORT_PROGRESS_LINES
    row.lines, row.size = row.lines + len(batch.content), row.size + len(content)
    if row.lines > rules.EXPORT_LINES_MAX or row.size > rules.EXPORT_BYTES_MAX:
        return await fail_export(uow, export_id=export_id, failure=ExportFailure.TOO_LARGE)
    for begins in range(0, len(content), rules.EXPORT_PIECE_BYTES_MAX):
        piece = content[begins : begins + rules.EXPORT_PIECE_BYTES_MAX]
        uow.add(ExportPiece(tenant_id=uow.tenant_id, export_id=row.id, number=row.pieces, content=piece))
        row.pieces += 1
    if batch.position is not None:
        row.position_at, row.position_id = batch.position
        if row.lines // rules.EXPORT_PROGRESS_LINES > told:
            uow.emit(ExportProgressed(export_id=row.id, lines=row.lines))
        return row
    row.state, row.ready_at, row.expires_at = ExportState.READY, uow.now, uow.now + rules.EXPORT_KEPT
    await jobs.schedule(uow, EXPIRE, row.id, due_at=row.expires_at)
    uow.emit(ExportReady(export_id=row.id, lines=row.lines, size=row.size))
    return row


async def fail_export(uow: UnitOfWork, *, export_id: UUID, failure: ExportFailure) -> Export:
    """Give an export up; nothing of it is kept."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.export_for_update(uow, export_id)
    row.state, row.failure = ExportState.FAILED, failure
    await _delete_pieces(uow, row)
    uow.emit(ExportFailed(export_id=row.id, failure=failure))
    return row


async def expire_export(uow: UnitOfWork, *, export_id: UUID) -> timedelta:
    """Drop what an export holds once its time is over. Returns how long it has left."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.export_for_update(uow, export_id)
    left = timedelta(0) if row.expires_at is None else row.expires_at - uow.now
    if row.state is ExportState.READY and left <= timedelta(0):
        row.state = ExportState.EXPIRED
        await _delete_pieces(uow, row)
        uow.emit(ExportExpired(export_id=row.id))
    return left if row.state is ExportState.READY else timedelta(0)


async def note_download(uow: UnitOfWork, *, export_id: UUID) -> Export:
    """Open an export of the actor's own, and keep that it was taken out. Raises NotFound, ExportIsNotReady."""
    uow.actor.require(Permission.EXPORT_READ)
    row = await queries.own_export(uow, export_id)
    if row.state is not ExportState.READY:
        raise rules.ExportIsNotReady
    uow.emit(ExportDownloaded(export_id=row.id))
    return row


async def _delete_pieces(uow: UnitOfWork, row: Export) -> None:
    await uow.write(
        delete(ExportPiece).where(col(ExportPiece.tenant_id) == uow.tenant_id, col(ExportPiece.export_id) == row.id)
    )
