# SPDX-License-Identifier: EUPL-1.2
"""Mistakes that contributors make, planted one by one: each is refused with its place and its remedy."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import strawberry
from sqlalchemy import Column, DateTime, Float, Integer, String, bindparam, cast, func, select, true
from sqlalchemy.sql.visitors import iterate
from sqlmodel import col
from strawberry.schema.config import StrawberryConfig

from graphql_schema.connections import Connection
from graphql_schema.nodes import Node
from graphql_schema.reading.checks import check_schema
from graphql_schema.reading.declarations import REGISTRY, Argument, DeclarationError
from graphql_schema.reading.mapping import (
    column,
    computed,
    connection,
    figure,
    named,
    never_null,
    newest,
    read_back,
    readable,
    same_row,
    through,
    to_one,
    vocabulary,
)
from graphql_schema.reading.resolvers import default_resolver
from graphql_schema.scalars import SCALAR_MAP
from graphql_schema.tenancy.types import Department, Person
from services.conversations import models
from services.conversations.queries import CONVERSATION_IS_VISIBLE
from services.conversations.rules import ConversationState, Priority
from services.kernel.access import Permission
from services.tenancy.models import Department as DepartmentRow

C, M, L = models.Conversation, models.Message, models.CategoryDepartment
READ = Permission.CONVERSATION_READ


@pytest.fixture(autouse=True)
def _registry_as_before() -> Iterator[None]:
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def planted(fields: dict[str, tuple[Any, Any]], model: type = C, doc: str = "What it is.", **options: Any) -> type:
    """A type as a contributor would write it: `{name: (annotation, declaration)}`."""
    options = {"tag": "ZZ", "visible": true(), "permission": READ, **options}
    body = {
        "__annotations__": {name: kind for name, (kind, _) in fields.items()},
        "__module__": __name__,
        "__doc__": doc,
    }
    body |= {name: declared for name, (_, declared) in fields.items()}
    bases = (Node,) if options["tag"] else ()
    return readable(model, **options)(type("Planted", bases, body))


def schema_with(shown: Any, **more: Any) -> None:
    """Build and check a schema whose root shows the type."""
    root = {"shown": (shown | None, read_back("It.")), **more}
    body = {"__annotations__": {name: kind for name, (kind, _) in root.items()}, "__module__": __name__}
    query = strawberry.type(type("Root", (), {**body, **{name: declared for name, (_, declared) in root.items()}}))
    config = StrawberryConfig(default_resolver=default_resolver, scalar_map=SCALAR_MAP)
    check_schema(strawberry.Schema(query=query, config=config))


def mistake(shown: Any, **more: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        schema_with(shown, **more)
    return str(caught.value)


def test_a_type_without_a_mistake_passes():
    schema_with(planted({"state": (ConversationState, column(C.state, "Where it stands."))}))


def test_a_field_that_is_not_declared_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"test_planted_mistakes\.Planted\.state: not declared; write column"):
        planted({"state": (ConversationState, strawberry.field(description="Where it stands."))})


def test_a_field_without_a_description_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"Planted\.state: say in a sentence what it is"):
        planted({"state": (ConversationState, column(C.state, " "))})


def test_a_type_without_a_description_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"Planted: write a docstring"):
        planted({"state": (ConversationState, column(C.state, "Where."))}, doc="")


def test_a_node_without_a_tag_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"Planted: a Node needs a tag of two capital letters"):
        planted({"state": (ConversationState, column(C.state, "Where."))}, tag="toolong")


def test_a_tag_of_another_type_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"the tag DP belongs to graphql_schema\.tenancy\.types\.Department"):
        planted({"state": (ConversationState, column(C.state, "Where."))}, tag="DP")


def test_a_word_without_a_meaning_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"words\.ConversationState: .*'OPEN'"):
        vocabulary(ConversationState, "Where it stands.", NEW="Just in.")


def test_a_list_without_an_order_is_refused_at_import():
    with pytest.raises(DeclarationError, match="exactly one of oldest_first"):
        connection(M.conversation_id, "What was said.")


def test_an_expression_where_a_key_belongs_is_refused_at_import():
    with pytest.raises(DeclarationError, match=r"The key of to_one\(\) must be a column of a model"):
        to_one(func.lower(col(C.reference)), "Whatever.")


def test_the_wrong_type_over_a_column_is_refused():
    found = mistake(planted({"subject": (int, column(C.network, "Where."))}))
    assert "Planted.subject: it says int, but conversation.network is Network; change the annotation" in found


def test_a_field_that_is_never_null_over_a_column_that_may_be_is_refused():
    found = mistake(planted({"language": (str, column(C.language, "Its language."))}))
    assert "Planted.language: conversation.language may be null; write `str | None`" in found


def test_a_field_that_is_never_null_over_an_expression_must_say_so():
    late = col(C.next_contact_due_at) < func.now()
    assert "Planted.is_late" in mistake(planted({"is_late": (bool, column(late, "Whether it is late."))}))
    schema_with(planted({"is_late": (bool, column(never_null(late), "Whether it is late."))}))


def test_an_expression_without_a_type_is_refused():
    found = mistake(planted({"length": (int | None, column(func.length(col(C.reference)), "How long."))}))
    assert "Planted.length: it says int | None, but" in found
    assert "state the type_ of" in found
    schema_with(planted({"length": (int | None, column(func.length(col(C.reference), type_=Integer), "How long."))}))


def test_a_float_is_refused_because_no_two_printers_agree():
    found = mistake(planted({"share": (float | None, column(cast(col(C.fence), Float), "A share."))}))
    assert "Planted.share: float | None has no printer" in found


def test_an_int_over_64_bits_is_refused():
    found = mistake(planted({"fence": (int, column(C.fence, "The fence."))}))
    assert "Planted.fence: Int has 32 bits" in found


def test_a_column_of_another_table_is_refused():
    found = mistake(planted({"text": (str, column(M.text, "The words."))}))
    assert "Planted.text: message.text is not a column of conversation; use a relation" in found


def test_an_expression_over_another_table_is_refused_because_it_would_join_everything():
    found = mistake(planted({"text": (str | None, column(func.lower(col(M.text), type_=String), "The words."))}))
    assert "Planted.text: it reads belfry.message; write it over belfry.conversation" in found
    found = mistake(planted({"state": (ConversationState, column(C.state, "W."))}, visible=col(M.text) == "x"))
    assert "Planted: its predicate reads belfry.message" in found


def test_a_key_that_leads_to_another_type_is_refused():
    found = mistake(planted({"holder": (Department | None, to_one(C.holder_id, "Who."))}))
    assert "Planted.holder: conversation.holder_id leads to membership, which Department does not show" in found


def test_a_column_without_a_foreign_key_is_no_relation():
    found = mistake(planted({"opener": (Person | None, to_one(C.reference, "Who."))}))
    assert "Planted.opener: conversation.reference has no foreign key together with tenant_id" in found


def test_a_relation_that_is_never_null_needs_a_target_that_everybody_sees():
    restricted = planted({"text": (str, column(M.text, "Words."))}, M, visible=col(M.deleted_at).is_(None))
    REGISTRY[restricted].python_type.__name__ = "Restricted"
    link = planted({"message": (restricted, to_one(models.Reply.message_id, "It."))}, models.Reply, tag="YY")
    assert "not everybody sees every Restricted; write `Restricted | None`" in mistake(link)


def test_a_relation_over_a_key_that_may_be_null_is_nullable():
    found = mistake(planted({"holder": (Person, to_one(C.holder_id, "Who."))}))
    assert "Planted.holder: conversation.holder_id may be null; write `Person | None`" in found


def test_a_relation_through_a_link_table_is_nullable_and_leads_back():
    key = through(L.category_id, L.department_id)
    found = mistake(planted({"desk": (Department, to_one(key, "Who."))}, models.Category))
    assert "Planted.desk: there may be no link row; write `Department | None`" in found
    found = mistake(planted({"desk": (Department | None, to_one(key, "Who."))}))
    assert "category_department.category_id leads to category, not to conversation" in found


def test_a_list_by_the_key_of_another_table_is_refused():
    found = mistake(planted({"parts": (Connection[Department], connection(M.author_id, "Parts.", oldest_first=M.id))}))
    assert "Planted.parts: message.author_id is not a column of department" in found
    assert "message.id must be among the order_by of Department, or be its id" in found


def test_the_newest_row_may_be_missing():
    named_by = planted({"text": (str, column(M.text, "Words."))}, M, tag="YY")
    found = mistake(planted({"last": (named_by, newest(M.conversation_id, "Last.", by=M.occurred_at))}))
    assert "Planted.last: there may be no such row; write `Planted | None`" in found
    assert "Planted.last: `by` must be among the order_by of Planted" in found


def test_an_object_of_another_row_is_no_object_of_the_same_row():
    found = mistake(planted({"claim": (Person, same_row("Who.", when=col(C.holder_id).is_not(None)))}))
    assert "Planted.claim: Person must be @readable over conversation, without a tag" in found
    assert "Planted.claim: it is null where its condition does not hold" in found


def test_an_order_over_a_column_that_may_be_null_is_refused():
    fields = {"closed_at": (datetime | None, column(C.closed_at, "When."))}
    assert "Planted: 'closed_at' may be null, and a cursor cannot pass over nulls" in mistake(
        planted(fields, order_by=(C.closed_at,))
    )


def test_an_order_over_words_is_refused_because_they_sort_by_spelling():
    fields = {"state": (ConversationState, column(C.state, "Where."))}
    assert "Planted: 'state' cannot be a key of an order" in mistake(planted(fields, order_by=(C.state,)))


def test_a_filter_over_a_column_that_no_field_shows_needs_words_of_its_own():
    fields = {"state": (ConversationState, column(C.state, "Where."))}
    assert """Planted: 'language' is offered for filtering or ordering, but no field shows its column""" in mistake(
        planted(fields, filter_by=(C.language,))
    )
    schema_with(planted(fields, filter_by=(named(C.language, "language", "Its language."),)))


def test_a_filter_over_another_table_is_refused():
    fields = {"state": (ConversationState, column(C.state, "Where."))}
    found = mistake(planted(fields, filter_by=(named(M.language, "language", "Its language."),)))
    assert "Planted: 'language' is a column of message; offer those of conversation only" in found


def test_a_rank_is_shown_by_its_name_and_needs_a_number_below():
    schema_with(planted({"priority": (Priority, column(C.priority, "How urgent."))}))
    assert "Planted.priority: it says Priority" in mistake(
        planted({"priority": (Priority, column(C.opened_at, "How urgent."))})
    )


def test_a_figure_names_all_arguments_of_its_select():
    since = bindparam("argument_since", type_=DateTime(timezone=True))
    many = select(func.count().label("n")).select_from(DepartmentRow).where(col(DepartmentRow.created_at) > since)
    source = many.subquery("many")
    body = {
        "__annotations__": {"n": int},
        "__module__": __name__,
        "__doc__": "How many.",
        "n": column(never_null(source.c.n), "Many."),
    }
    shown = figure(source, permission=READ, arguments={"before": Argument(datetime, "Until when.")})(
        type("Many", (), body)
    )
    found = mistake(Department, many=(shown, computed("How many.")))
    assert "Many: its SELECT takes ['since'] and its arguments are ['before']; make them agree" in found
    assert "Root.many: computed() is for @figure types; write `Many | None` or `list[Many]`" in found


def test_a_payload_node_may_have_left_the_actors_view():
    found = mistake(Department, again=(Department, read_back("It.")))
    assert (
        "Root.again: a read_back() is a Node that the actor may have lost from view; write `Department | None`" in found
    )


def test_rows_are_named_by_keys_only_from_rows():
    messages = planted({"text": (str, column(M.text, "Words."))}, M, order_by=(named(M.occurred_at, "at", "When."),))
    listed = connection(M.conversation_id, "All.", oldest_first=M.occurred_at)
    assert "Root.all: only a row can be named by a key; at the root write connection() without one" in mistake(
        Department, all=(Connection[messages], listed)
    )


def test_the_visibility_predicate_is_kept_as_plain_columns():
    shown = planted({"state": (ConversationState, column(C.state, "Where."))}, visible=CONVERSATION_IS_VISIBLE)
    columns = [each for each in iterate(REGISTRY[shown].visible) if isinstance(each, Column)]
    assert len(columns) > 20
    assert all(each is each.table.c[each.key] for each in columns)
