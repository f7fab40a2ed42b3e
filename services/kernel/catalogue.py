# SPDX-License-Identifier: EUPL-1.2
"""The catalogue lint: what the database itself says about isolation, asked after every migration step.

Rules whose name ends in "?" are not wrong by themselves: their rows are compared with the lists below.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.isolation import TableKind, table_registry

SECOND_POLICIES = frozenset(
    {
        *("outbox.relay to belfry_relay", "job.relay to belfry_relay"),
        *(f"{table}.search to belfry_search" for table in ("contact", "conversation", "message")),
    }
)
SECURITY_DEFINERS = frozenset({"search_conversations", "search_conversations_alike"})
SEARCHED = frozenset(
    {
        *(f"contact.{column}" for column in ("tenant_id", "id", "handle", "display_name")),
        *(f"conversation.{column}" for column in ("tenant_id", "id", "contact_id", "reference", "last_message_at")),
        *(f"message.{column}" for column in ("tenant_id", "conversation_id", "visibility", "text", "occurred_at")),
    }
)
"""What belfry_search reads, over all organizations, inside the functions that it owns."""
VOLATILE_DEFAULTS: frozenset[str] = frozenset()

LINT = text(
    """
    with tables as (
        select c.oid, c.relname, c.relispartition as part, c.relrowsecurity as secured, c.relforcerowsecurity as forced,
               c.relacl, a.attnum as tenant_column, a.attnotnull as never_null
        from pg_class c
        left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
        where c.relnamespace = 'belfry'::regnamespace and c.relkind in ('r', 'p')
    ),
    tenant as (select * from tables where tenant_column is not null)
    select 'not a tenant table?' as rule, relname::text as object from tables where tenant_column is null
    union all select 'tenant_id not first or nullable', relname from tenant where tenant_column <> 1 or not never_null
    union all select 'default on tenant_id', adrelid::regclass::text
        from pg_attrdef join tenant t on t.oid = adrelid and adnum = tenant_column
    union all select 'row security not forced', relname from tenant where not (secured and forced)
    union all select 'not one policy of the template', relname from tenant t
        where 1 <> (select count(*) from pg_policy where polrelid = t.oid and polpermissive and polroles = '{0}')
           or not exists (
               select 1 from pg_policy
               where polrelid = t.oid and polpermissive and polcmd = '*' and polroles = '{0}'
                 and pg_get_expr(polqual, polrelid) = pg_get_expr(polwithcheck, polrelid)
                 and pg_get_expr(polqual, polrelid)
                     = '(tenant_id = (NULLIF(current_setting(''app.tenant_id''::text, true), ''''::text))::uuid)')
    union all select 'second permissive policy?', relname || '.' || polname || ' to ' || (
            select string_agg(rolname, ', ' order by rolname) from pg_roles r where r.oid = any (polroles))
        from pg_policy join tenant t on t.oid = polrelid where polpermissive and polroles <> '{0}'
    union all select 'subquery in policy', polrelid::regclass || '.' || polname from pg_policy
        where coalesce(polqual::text, '') || coalesce(polwithcheck::text, '') like '%SUBLINK%'
    union all select 'key without tenant_id first', indexrelid::regclass::text
        from pg_index i join tenant t on t.oid = indrelid
        where (indisunique or indisexclusion) and indkey[0] <> tenant_column
    union all select 'foreign key without tenant_id', conrelid::regclass || '.' || conname
        from pg_constraint c join tables t on t.oid = conrelid join tenant p on p.oid = confrelid
        where contype = 'f' and not exists (
            select 1 from generate_subscripts(conkey, 1) s
            where conkey[s] = t.tenant_column and confkey[s] = p.tenant_column)
    union all select 'foreign key action', conrelid::regclass || '.' || conname
        from pg_constraint join tables t on t.oid = conrelid
        where contype = 'f' and (confdeltype in ('n', 'd') or confupdtype in ('n', 'd', 'c'))
    union all select 'trigger', tgrelid::regclass || '.' || tgname
        from pg_trigger join tables t on t.oid = tgrelid where not tgisinternal
    union all select 'view', relname from pg_class
        where relnamespace = 'belfry'::regnamespace
          and (relkind = 'm' or relkind = 'v' and coalesce(reloptions::text, '') not like '%security_invoker=true%')
    union all select 'security definer?', proname from pg_proc
        where pronamespace = 'belfry'::regnamespace and prosecdef
    union all select 'security definer not narrow', proname from pg_proc
        where pronamespace = 'belfry'::regnamespace and prosecdef and (
            pg_get_userbyid(proowner) <> 'belfry_search'
            or not exists (select 1 from unnest(proconfig) setting where starts_with(setting, 'search_path='))
            or proacl is null or exists (select 1 from aclexplode(proacl) where grantee = 0))
    union all select 'read by search?', relname || '.' || attname
        from tables t join pg_attribute a on a.attrelid = t.oid and attnum > 0 and not attisdropped
        where has_column_privilege('belfry_search', t.oid, attnum, 'select')
    union all select 'written by search', relname from tables
        where has_any_column_privilege('belfry_search', oid, 'insert, update, references')
           or has_table_privilege('belfry_search', oid, 'delete, truncate, trigger, maintain')
    union all select 'becomes search', rolname from pg_roles
        where rolname = 'belfry_search' and rolcanlogin
    union all select 'becomes search', pg_get_userbyid(member) from pg_auth_members
        where roleid = 'belfry_search'::regrole and (
            pg_get_userbyid(member) in ('belfry_app', 'belfry_relay', 'belfry_auditor', 'belfry_backup')
            or pg_get_userbyid(member) = 'belfry_owner' and (inherit_option or admin_option))
    union all select '32-bit sequence', c.relname from pg_sequence join pg_class c on c.oid = seqrelid
        where relnamespace = 'belfry'::regnamespace and seqtypid <> 'int8'::regtype
    union all select 'volatile default?', adrelid::regclass || ': ' || pg_get_expr(adbin, adrelid)
        from pg_attrdef join tables t on t.oid = adrelid
        where pg_get_expr(adbin, adrelid) ~ '(clock_timestamp|gen_random_uuid|random|nextval)\\('
    union all select 'partition granted', relname
        from tables, unnest('{select,insert,update,delete}'::text[]) verb
        where part and has_table_privilege('belfry_app', oid, verb)
    union all select 'privilege of app', relname || ' ' || verb
        from tables, unnest('{truncate,references,trigger,maintain}'::text[]) verb
        where has_table_privilege('belfry_app', oid, verb)
    union all select 'grant to PUBLIC', relname from tables, aclexplode(relacl) g where g.grantee = 0
    union all select 'owner', c.relname from pg_class c join pg_roles r on r.oid = relowner
        where relnamespace = 'belfry'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
          and rolname <> 'belfry_owner'
    union all select 'role', rolname from pg_roles
        where rolname in ('belfry_app', 'belfry_relay', 'belfry_search', 'belfry_auditor')
          and (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole)
    """
)

TABLES = text(
    "select relname::text from pg_class"
    " where relnamespace = 'belfry'::regnamespace and relkind in ('r', 'p') and not relispartition"
)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One breach of a convention: the rule's name and the object that breaks it."""

    rule: str
    object: str


async def lint(connection: AsyncConnection) -> list[Finding]:
    """Every breach in the database; a clean one gives an empty list."""
    listed = {
        "not a tenant table?": {name for name, kind in table_registry().items() if kind is not TableKind.TENANT},
        "second permissive policy?": SECOND_POLICIES,
        "security definer?": SECURITY_DEFINERS,
        "read by search?": SEARCHED,
        "volatile default?": VOLATILE_DEFAULTS,
    }
    rows = (await connection.execute(LINT)).all()
    return sorted(Finding(rule, name) for rule, name in rows if name not in listed.get(rule, ()))


async def compare_with_registry(connection: AsyncConnection) -> list[Finding]:
    """Tables that only the catalogue or only the code knows, at the latest migration."""
    found = set((await connection.execute(TABLES)).scalars())
    known = set(table_registry())
    return sorted(
        [Finding("table without a class", name) for name in found - known]
        + [Finding("class without a table", name) for name in known - found]
    )
