# SPDX-License-Identifier: EUPL-1.2
"""Revision 0011: full text over conversations.

The index holds words as they were written, without case and accents, each behind the end of its organization's id: the
words of one organization stand together, so that no other one's size or words change what a search costs. What a
language does to a word is thought of when somebody asks: the forms of an asked word that the language's own stemmer
puts together, and, for a slip of the finger, everything one letter away. The index itself says which of those hundreds
occur, each in some microseconds; the search is made of these few. So an insert computes no stems, and better rules for
a language need no new index.

Row security hides every index whose operator is not leakproof. Therefore the two searches run as belfry_search, which
reads the searched columns of all organizations, and repeat the policy's predicate. They return ids only.
"""

import sqlalchemy as sa

from alembic import op
from services.kernel.isolation import SCHEMA
from services.kernel.migrations import let_search

revision = "0011"
down_revision = "0010"

SEARCHED = {
    "contact": "tenant_id, id, handle, display_name",
    "conversation": "tenant_id, id, contact_id, reference, last_message_at",
    "message": "tenant_id, conversation_id, visibility, text, occurred_at",
}

CALLERS = {
    "search_fold(text)": "belfry_app, belfry_search",
    "search_keys(uuid, text)": "belfry_app, belfry_search",
    "search_keys(uuid, text, text)": "belfry_app, belfry_search",
    "search_code(text)": "belfry_app, belfry_search",
    "search_words(text)": "belfry_search",
    "search_telling(text[])": "belfry_search",
    "search_forms(text)": "belfry_search",
    "search_neighbors(text)": "belfry_search",
    "search_known(uuid, text[], text)": "belfry_search",
    "search_conversations(uuid, text, integer)": "belfry_app",
    "search_conversations_alike(uuid, text, integer)": "belfry_app",
}
"""Who may call what. Index expressions run with the rights of whoever writes the row."""

SEARCHES = ("search_conversations(uuid, text, integer)", "search_conversations_alike(uuid, text, integer)")

FUNCTIONS = (
    # A body in the standard's form names its functions by id, so that belfry_app needs no right in the schema public.
    # Beyond the longest text of ours nothing is searched: no insert may fail for what a network lets through.
    """
    CREATE FUNCTION belfry.search_fold(said text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN lower(
        public.unaccent('public.unaccent'::regdictionary, left(said, 20000)) COLLATE pg_catalog.pg_unicode_fast)
    """,
    # GIN has a longest key, so words end after 40 letters. The end of an id of version 7 is chance: should two
    # organizations share it, searches read past each other's rows and the predicate drops them.
    r"""
    CREATE FUNCTION belfry.search_keys(tenant uuid, said text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE
        own CONSTANT text := right(tenant::text, 8);
        folded text COLLATE pg_catalog.pg_unicode_fast := belfry.search_fold(said);
    BEGIN
        IF folded ~ '[[:alnum:]]{41}' THEN
            folded := regexp_replace(folded, '([[:alnum:]]{40})[[:alnum:]]+', '\1', 'g');
        END IF;
        folded := own || regexp_replace(folded, '[^[:alnum:]]+', ' ' || own, 'g');
        RETURN array_to_tsvector(array_remove(string_to_array(folded, ' '), own));
    END $$
    """,
    # The names of one contact. (A longer expression in the index could not be compared with the model's.)
    """
    CREATE FUNCTION belfry.search_keys(tenant uuid, display_name text, handle text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN belfry.search_keys(tenant, coalesce(display_name, '') || ' ' || coalesce(handle, ''))
    """,
    # A reference is said on the telephone: case, spaces and hyphens do not matter.
    """
    CREATE FUNCTION belfry.search_code(said text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN left(regexp_replace(
        upper(left(said, 1000) COLLATE pg_catalog.pg_unicode_fast), '[^[:alnum:]]', '', 'g'), 100)
    """,
    # What is asked, as words in their order. Only letters and digits remain: nothing in it is an operator.
    """
    CREATE FUNCTION belfry.search_words(asked text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(word ORDER BY place) FROM (
            SELECT left(part, 40) AS word, min(place) AS place
            FROM regexp_split_to_table(
                belfry.search_fold(left(asked, 1000)) COLLATE pg_catalog.pg_unicode_fast, '[^[:alnum:]]+'
            ) WITH ORDINALITY AS split (part, place)
            WHERE part <> '' GROUP BY 1 ORDER BY 2 LIMIT 10
        ) first)
    """,
    # The first five words that no language passes over (the, het, les, und); of all, when nothing else was asked.
    """
    CREATE FUNCTION belfry.search_telling(words text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT (coalesce(array_agg(word ORDER BY place) FILTER (WHERE telling), words))[1:5] FROM (
            SELECT word, place, NOT EXISTS (
                SELECT FROM unnest('{dutch_stem,french_stem,german_stem,english_stem}'::regdictionary[]) dictionary
                WHERE ts_lexize(dictionary, word) = '{}') AS telling
            FROM unnest(words) WITH ORDINALITY AS each (word, place)) judged)
    """,
    # Every form of a word that some language's stemmer takes for the same: the stem, as it is or as that language
    # spells it before an ending (zak-ken, pal-paal, city-cities, canal-canaux), with an ending.
    r"""
    CREATE FUNCTION belfry.search_forms(word text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        WITH languages (dictionary, endings) AS (VALUES
            ('dutch_stem'::regdictionary, string_to_array(
                ' e en s se ing ingen ings ig ige igen iging igheid end ende baar bare baarheid heid heden elijk '
                'elijke elijkheid elijkheden lijk lijke', ' ')),
            ('french_stem', string_to_array(
                ' e es s er ez ent ant ante ants antes a ai as ait ais aient era erait erez eront ons iez i is it ie '
                'ies ir ira ion ions tion ation ations ement ements able ables ique iques iquement ateur ateurs atrice '
                'ance ances ence if ive ifs ives ivement atif ative atifs atives ication ications icateur icateurs '
                'issant issez issent issement eux euse euses x ux', ' ')),
            ('german_stem', string_to_array(
                ' e en er ers em es s ern n ens ere eren erer eres erem ene enen ener enes enem end ende enden ender '
                'endes endem ung ungen ungs ig ige igen iger iges igem igkeit igung isch ische ischen ischer isches '
                'ischem lich liche lichen licher liches lichem keit keiten heit se ses sen st ste sten stes est este '
                'esten ester erin', ' ')),
            ('english_stem', string_to_array(
                ' s es e ed d ing ings er ers or ors ly ely ally ion ions ional ation ations ator ators al als ality '
                'ate ated ates ating ative able ible ive ively ivity ity ities ness ment ments ent ently ence ences '
                'ency y ies ic ical ically ize ized izing ization alize alized ous ful', ' '))),
        stems AS (SELECT dictionary, endings, stem FROM languages, unnest(ts_lexize(dictionary, word)) stem),
        spellings AS (
            SELECT DISTINCT dictionary, endings, stem, spelling FROM stems, unnest(ARRAY[
                stem, stem || right(stem, 1), regexp_replace(stem, '([aeou])([^aeiouy])$', '\1\1\2'),
                regexp_replace(stem, 'i$', 'y'), regexp_replace(stem, '[el]$', '')]) spelling)
        SELECT array_agg(DISTINCT form) FROM (
            SELECT word AS form UNION ALL
            SELECT spelling || ending FROM spellings, unnest(endings) ending
            WHERE ts_lexize(dictionary, spelling || ending) = ARRAY[stem]) forms)
    """,
    # Every word that is one letter away: one left out, one too many, another one, or two that changed places.
    """
    CREATE FUNCTION belfry.search_neighbors(word text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(DISTINCT neighbor) FROM (
            SELECT left(word, place) || letter || substr(word, place + 1 + taken) AS neighbor
            FROM generate_series(0, length(word)) place, generate_series(0, 1) taken,
                 unnest(string_to_array('abcdefghijklmnopqrstuvwxyz', NULL) || ARRAY['']) letter
            UNION ALL
            SELECT left(word, place) || substr(word, place + 2, 1) || substr(word, place + 1, 1)
                || substr(word, place + 3)
            FROM generate_series(0, length(word) - 2) place) found)
    """,
    # Which of these words, or beginnings of words, the organization's messages and contacts hold, as parts of a query.
    """
    CREATE FUNCTION belfry.search_known(tenant uuid, words text[], match text) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
        SELECT coalesce(array_agg(part), '{}')
        FROM (SELECT format('''%s%s''%s', right(tenant::text, 8), word, match) AS part
              FROM unnest(words) word) asked
        WHERE EXISTS (
            SELECT FROM belfry.message m
            WHERE belfry.search_keys(m.tenant_id, m.text) @@ part::tsquery AND m.conversation_id IS NOT NULL
              AND (m.tenant_id = tenant AND m.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
                  IS TRUE)
        OR EXISTS (
            SELECT FROM belfry.contact n
            WHERE belfry.search_keys(n.tenant_id, n.display_name, n.handle) @@ part::tsquery
              AND (n.tenant_id = tenant AND n.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
                  IS TRUE)
    $$
    """,
)

# Of a condition with many words the planner expects half the table: only GIN is left to it, neither a scan of
# the table nor, by IS TRUE, a key that begins with tenant_id.
SEARCH = """
    CREATE FUNCTION belfry.{name}(tenant uuid, asked text, most integer)
    RETURNS TABLE (conversation_id uuid, in_private boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 COST 10000
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET max_parallel_workers_per_gather = 0
    SET plan_cache_mode = force_custom_plan
    AS $$
    #variable_conflict use_column
    DECLARE
        own CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    {body}
    END $$
"""

# Everything that is asked stands in one message or in one name, the last word perhaps not to its end; or it begins a
# reference. A conversation is `in_private` when only private messages hold it.
EXACTLY = """
        words CONSTANT text[] := belfry.search_words(asked);
        code CONSTANT text := belfry.search_code(asked);
        query tsquery;
    BEGIN
        IF own IS NULL OR own IS DISTINCT FROM tenant THEN
            RETURN;
        END IF;
        SELECT CASE WHEN bool_and(parts <> '{}') THEN
            string_agg(format('(%s)', array_to_string(parts, '|')), '&')::tsquery END INTO query
        FROM (
            SELECT belfry.search_known(own, belfry.search_forms(word), '')
                || CASE WHEN place = cardinality(words) AND length(word) >= 3
                        THEN belfry.search_known(own, ARRAY[word], ':*') ELSE '{}' END AS parts
            FROM unnest(words) WITH ORDINALITY AS each (word, place)) known;
        RETURN QUERY SELECT found.id, bool_and(found.private) FROM (
            SELECT m.conversation_id AS id, m.occurred_at AS at, m.visibility <> 'PUBLIC' AS private
            FROM belfry.message m
            WHERE belfry.search_keys(m.tenant_id, m.text) @@ query AND m.conversation_id IS NOT NULL
              AND (m.tenant_id = own) IS TRUE
            UNION ALL
            SELECT c.id, c.last_message_at, false
            FROM belfry.contact n
            JOIN belfry.conversation c ON c.tenant_id = n.tenant_id AND c.contact_id = n.id AND c.tenant_id = own
            WHERE belfry.search_keys(n.tenant_id, n.display_name, n.handle) @@ query
              AND (n.tenant_id = own) IS TRUE
            UNION ALL
            SELECT c.id, c.last_message_at, false
            FROM belfry.conversation c
            WHERE c.tenant_id = own AND c.reference IS NOT NULL AND length(code) >= 4
              AND belfry.search_code(c.reference) ^@ code) found
        GROUP BY found.id ORDER BY max(found.at) DESC LIMIT least(greatest(most, 0), 10000);
"""

# Every telling word stands somewhere in the conversation or in the name, in some form, as the beginning of a
# word, or one letter away; of long words also another form of what is one letter away.
ROUGHLY = """
        words CONSTANT text[] := belfry.search_telling(belfry.search_words(asked));
        queries tsquery[];
    BEGIN
        IF own IS NULL OR own IS DISTINCT FROM tenant THEN
            RETURN;
        END IF;
        SELECT array_agg(nullif(array_to_string(parts, '|'), '')::tsquery ORDER BY place) INTO queries
        FROM (
            SELECT place, belfry.search_known(own, belfry.search_forms(word), '')
                || CASE WHEN length(word) >= 4 THEN belfry.search_known(own, ARRAY[word], ':*') ELSE '{}' END
                || CASE WHEN length(word) BETWEEN 4 AND 25
                        THEN belfry.search_known(own, belfry.search_neighbors(word), '') ELSE '{}' END
                || belfry.search_known(own, belfry.search_neighbors((
                    SELECT stem
                    FROM unnest('{dutch_stem,french_stem,german_stem,english_stem}'::regdictionary[]) dictionary,
                         unnest(ts_lexize(dictionary, word)) stem
                    WHERE length(stem) BETWEEN 7 AND 25 ORDER BY length(stem) LIMIT 1)), ':*') AS parts
            FROM unnest(words) WITH ORDINALITY AS each (word, place)) known;
        IF array_position(queries, NULL) IS NOT NULL THEN
            RETURN;
        END IF;
        RETURN QUERY SELECT found.id, count(DISTINCT found.place) FILTER (WHERE NOT found.private) < cardinality(words)
        FROM (
            SELECT part.place, m.conversation_id AS id, m.occurred_at AS at, m.visibility <> 'PUBLIC' AS private
            FROM unnest(queries) WITH ORDINALITY AS part (query, place)
            JOIN belfry.message m ON belfry.search_keys(m.tenant_id, m.text) @@ part.query
            WHERE m.conversation_id IS NOT NULL AND (m.tenant_id = own) IS TRUE
            UNION ALL
            SELECT part.place, c.id, c.last_message_at, false
            FROM unnest(queries) WITH ORDINALITY AS part (query, place)
            JOIN belfry.contact n ON belfry.search_keys(n.tenant_id, n.display_name, n.handle) @@ part.query
            JOIN belfry.conversation c ON c.tenant_id = n.tenant_id AND c.contact_id = n.id AND c.tenant_id = own
            WHERE (n.tenant_id = own) IS TRUE) found
        GROUP BY found.id HAVING count(DISTINCT found.place) = cardinality(words)
        ORDER BY max(found.at) DESC LIMIT least(greatest(most, 0), 10000);
"""


def upgrade() -> None:
    for statement in FUNCTIONS:
        op.execute(statement)
    op.execute(SEARCH.format(name="search_conversations", body=EXACTLY))
    op.execute(SEARCH.format(name="search_conversations_alike", body=ROUGHLY))
    for function, callers in CALLERS.items():
        op.execute(f"REVOKE ALL ON FUNCTION {SCHEMA}.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {SCHEMA}.{function} TO {callers}")
    # Whoever owns a function must be allowed to make one, for the moment in which it is handed over.
    op.execute(f"GRANT CREATE ON SCHEMA {SCHEMA} TO belfry_search")
    for function in SEARCHES:
        op.execute(f"ALTER FUNCTION {SCHEMA}.{function} OWNER TO belfry_search")
    op.execute(f"REVOKE CREATE ON SCHEMA {SCHEMA} FROM belfry_search")
    for table, columns in SEARCHED.items():
        let_search(op, table, columns)
    # GIN can put what is new into a list and sort it in later. Each of the hundreds of questions that a search asks
    # would read that list, and now and then one insert would have to sort all of it in.
    at_once = {"fastupdate": "off"}
    op.create_index(
        "ix_message_words",
        "message",
        [sa.text("belfry.search_keys(tenant_id, text)")],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_with=at_once,
        postgresql_where=sa.text("conversation_id is not null"),
    )
    op.create_index(
        "ix_contact_words",
        "contact",
        [sa.text("belfry.search_keys(tenant_id, display_name, handle)")],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_with=at_once,
    )
    op.create_index(
        "ix_conversation_reference",
        "conversation",
        ["tenant_id", sa.literal_column("belfry.search_code(reference)").label("code")],
        schema=SCHEMA,
        postgresql_ops={"code": "text_pattern_ops"},
        postgresql_where=sa.text("reference is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_conversation_reference", "conversation", schema=SCHEMA)
    op.drop_index("ix_contact_words", "contact", schema=SCHEMA)
    op.drop_index("ix_message_words", "message", schema=SCHEMA)
    for table, columns in SEARCHED.items():
        op.execute(f"REVOKE SELECT ({columns}) ON {SCHEMA}.{table} FROM belfry_search")  # noqa: S608
        op.execute(f"DROP POLICY search ON {SCHEMA}.{table}")
    for function in reversed(CALLERS):
        op.execute(f"DROP FUNCTION {SCHEMA}.{function}")
