-- SPDX-License-Identifier: EUPL-1.2
-- Fills the organizations of a data set, one statement for each table, with all of its checks, unique keys and indexes
-- in place. References between tables are lifted meanwhile and put back at the end, when the database checks each of
-- them for all rows at once; row by row that would take longer than everything else.
--
-- Every line "-- step: name" begins a step; filling.py runs them in this order. A step "of each half" runs twice at the
-- same time, with $1 = 0 and 1, each for half of the organizations. All chance follows from stage.chance, whose text
-- holds the seed, so that the same seed draws the same rows. Rows go in by their instants over all organizations, as
-- they would have come: those of one organization do not lie side by side on disk.

-- step: tools
create schema stage;
create function stage.chance(n bigint, salt int) returns float8 language sql stable parallel safe
    return (hashint8extended(n, {seed} * 1000 + salt) & 4294967295) / 4294967296.0::float8;
-- A UUIDv7: 48 bits of milliseconds, the version, the variant, and 74 bits that follow from n and salt.
create function stage.id(at timestamptz, n bigint, salt int) returns uuid language sql stable parallel safe
    return encode(
        int8send(((date_part('epoch', at) * 1000)::bigint << 16) | 28672 | (hashint8extended(n, salt + 500) & 4095))
        || int8send((hashint8extended(n, {seed} * 1000 + salt) & 4611686018427387903) | (-9223372036854775808)),
        'hex')::uuid;
create function stage.external_id(network text, handle text, n bigint, i int) returns text
    language sql stable parallel safe
    return case network
        when 'BLUESKY' then 'at://did:web:' || case i % 2 when 1 then 'citizen' || n || '.example' else handle end
            || '/app.bsky.feed.post/' || (n * 1000 + i)
        when 'WEBFORM' then encode(int8send(n) || int8send(i), 'hex')::uuid::text
        else (100000000000000000 + n * 1000 + i)::text end;
create function stage.permalink(network text, handle text, n bigint, i int) returns text
    language sql stable parallel safe
    return case when network <> 'WEBFORM'
        then 'https://' || lower(network) || '.example/' || handle || '/' || (n * 1000 + i) end;
create function stage.target(network text, handle text, n bigint, i int) returns jsonb
    language sql stable parallel safe
    return jsonb_build_object(
        'root', jsonb_build_array(stage.external_id(network, handle, n, 1), '1'),
        'parent', jsonb_build_array(stage.external_id(network, handle, n, i), '1'));
create table stage.organization (
    tenant_id uuid, half int, place bigint, first bigint, conversations bigint, long_ones int, desk_id uuid,
    members int, categories int
);
create table stage.account (
    tenant_id uuid, slot int, id uuid, network text, server_host text, handle text, private float8
);
create table stage.category (
    tenant_id uuid, slot int, id uuid, department_id uuid, directing_id uuid, formal boolean, hard boolean
);
create table stage.member (tenant_id uuid, slot int, id uuid);
create table stage.phrase (kind text, slot int, text text);

-- step: conversations drawn
create unlogged table stage.conversation as
with drawn as (
    select o.tenant_id, o.half, o.first + p as n, p as place, o.desk_id, o.members, o.conversations,
           a.id as account_id, a.network, a.server_host, a.handle, a.private, o.categories,
           timestamptz '{until}' - interval '{days} days' * stage.chance(o.first + p, 1) as opened_at,
           case when p <= o.long_ones then {long_messages} else (array[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4,
                5, 8, 12])[1 + floor(stage.chance(o.first + p, 2) * 20)::int] end as messages
    from stage.organization o
    cross join lateral generate_series(1, o.conversations) p
    join stage.account a on a.tenant_id = o.tenant_id and a.slot = floor(stage.chance(o.first + p, 3) * 100)::int
), timed as (
    select d.*,
           least(interval '5 minutes' * power(144, stage.chance(n, 4)),
                 (timestamptz '{until}' - opened_at) / (messages + 1)) as step,
           case when stage.chance(n, 5) >= case when opened_at > timestamptz '{until}'
                     - interval '42 days' then 0.7 else 0.015 end then 'CLOSED'
                when messages = 1 and stage.chance(n, 6) < 0.25 then 'NEW'
                when messages % 2 = 0 and stage.chance(n, 6) < 0.5 then 'WAITING_ON_CITIZEN'
                when stage.chance(n, 7) < 0.10 then 'WAITING_ON_DEPARTMENT'
                when stage.chance(n, 7) < 0.16 then 'SNOOZED'
                else 'OPEN' end as state,
           network <> 'WEBFORM' and stage.chance(n, 8) < 0.12 as is_outside,
           case when network = 'WEBFORM' then 'FORM'
                when stage.chance(n, 9) < private then 'DIRECT' else 'PUBLIC' end as channel_kind,
           case when network = 'WEBFORM' then n
                else floor(stage.chance(n, 10) * conversations * 0.5)::bigint end as contact_number
    from drawn d
), placed as (
    select t.*,
           opened_at + step * (messages - 1 + 0.8 * stage.chance(n * 1000 + messages, 20)
               * (messages > 1)::int) as last_message_at,
           case when stage.chance(n, 11) < 0.92 and state <> 'NEW'
                then floor(power(stage.chance(n, 12), 2) * categories)::int end as category_slot,
           row_number() over (partition by tenant_id, state = 'OPEN' and stage.chance(n, 13) < 0.15
                              order by stage.chance(n, 14)) as turn,
           state = 'OPEN' and stage.chance(n, 13) < 0.15 as may_be_held
    from timed t
)
select p.*, stage.id(opened_at, n, 30) as id, stage.id(opened_at + messages * step, n, 31) as closing_id,
       case when state = 'CLOSED' then opened_at + messages * step end as closed_at,
       case when state <> 'CLOSED' then null
            when messages = 1 then (array['SPAM', 'NO_ANSWER_NEEDED', 'DUPLICATE', 'RESOLVED'])[
                1 + floor(stage.chance(n, 15) * 4)::int]
            else (array['ANSWERED', 'ANSWERED', 'ANSWERED', 'RESOLVED', 'REFERRED'])[
                1 + floor(stage.chance(n, 15) * 5)::int] end as outcome,
       c.id as category_id, coalesce(c.department_id, p.desk_id) as department_id, c.directing_id, c.formal, c.hard,
       may_be_held and turn <= members * 5 as is_held, m.id as member_id
from placed p
left join stage.category c on c.tenant_id = p.tenant_id and c.slot = p.category_slot
join stage.member m on m.tenant_id = p.tenant_id and m.slot = case when may_be_held and turn <= members * 5
    then turn % members else floor(stage.chance(n, 16) * members)::int end;

-- step: contacts drawn
create unlogged table stage.contact as
select tenant_id, half, network, server_host, contact_number, min(n) as n, min(opened_at) as created_at,
       max(last_message_at) as seen_at, stage.id(min(opened_at), min(n), 32) as id
from stage.conversation group by 1, 2, 3, 4, 5;

-- step: messages drawn
create unlogged table stage.message as
select v.tenant_id, v.half, v.n, i, v.id as conversation_id, v.account_id, v.network, v.server_host, v.handle,
       v.channel_kind, v.state, v.formal, v.messages, v.is_outside, v.member_id, k.id as contact_id,
       v.opened_at + v.step * (i - 1 + 0.8 * stage.chance(v.n * 1000 + i, 20) * (i > 1)::int) as occurred_at,
       i % 2 = 0 as is_sent, i % 2 = 0 and not v.is_outside as is_delivered,
       i = v.messages and i % 2 = 1 and i > 1 and v.state = 'CLOSED' as is_thanks
from stage.conversation v
join stage.contact k using (tenant_id, network, server_host, contact_number)
cross join lateral generate_series(1, v.messages) i;

-- step: figures of what was drawn
analyze stage.conversation, stage.contact, stage.message, stage.account, stage.category, stage.member, stage.phrase;

-- step: references lifted
create table stage.reference as
select conrelid::regclass as child, conname as name, pg_get_constraintdef(oid) as definition
from pg_constraint
where contype = 'f' and conrelid::regclass::text = any (array['belfry.conversation', 'belfry.delivery',
    'belfry.message', 'belfry.waiting_segment', 'belfry.reply', 'belfry.closing', 'belfry.claim',
    'belfry.participant']);
do $$
declare each record;
begin
    for each in select * from stage.reference loop
        execute format('alter table %s drop constraint %I', each.child, each.name);
    end loop;
end $$;

-- step: contact, of each half
insert into belfry.contact (tenant_id, id, created_at, version, network, server_host, external_id, handle, display_name,
                            email, seen_at, opted_out, blocked)
select k.tenant_id, k.id, k.created_at, 1, k.network, k.server_host,
       case k.network when 'BLUESKY' then 'did:web:citizen' || k.n || '.example'
            when 'WEBFORM' then (md5('form ' || k.n))::uuid::text else (100000000000000 + k.n)::text end,
       case when k.network not in ('WEBFORM', 'FACEBOOK') then 'citizen' || k.n end,
       case when stage.chance(k.n, 40) < 0.9 then g.text || ' ' || f.text end,
       case when k.network = 'WEBFORM' and stage.chance(k.n, 41) < 0.7 then 'citizen' || k.n || '@post.example' end,
       k.seen_at, stage.chance(k.n, 42) < 0.01, stage.chance(k.n, 43) < 0.005
from stage.contact k
join stage.phrase g on g.kind = 'given' and g.slot = floor(stage.chance(k.n, 44) * {given})::int
join stage.phrase f on f.kind = 'family' and f.slot = floor(stage.chance(k.n, 45) * {family})::int
where k.half = $1 order by k.created_at;

-- step: conversation, of each half
insert into belfry.conversation (tenant_id, id, created_at, version, network, server_host, thread_key, episode,
    social_account_id, contact_id, channel_kind, reference, language, category_id, department_id,
    directing_department_id, priority, difficulty, state, outcome, opened_at, last_message_at, closed_at,
    next_contact_due_at, holder_id, last_holder_id, lease_until, fence)
select v.tenant_id, v.id, v.opened_at, v.messages + 1, v.network, v.server_host,
       stage.external_id(v.network, v.handle, v.n, 1), 1, v.account_id, k.id, v.channel_kind,
       case when v.network = 'WEBFORM'
            then upper(translate(substr(md5(v.n::text), 1, 4) || '-' || substr(md5(v.n::text), 5, 4), '01', 'kx')) end,
       'nl', v.category_id, v.department_id, v.directing_id,
       (array[10, 20, 20, 20, 20, 20, 20, 20, 30, 40])[1 + floor(stage.chance(v.n, 46) * 10)::int],
       case when v.hard then 'HARD' when stage.chance(v.n, 47) < 0.3 then 'EASY' else 'NORMAL' end,
       v.state, v.outcome, v.opened_at, v.last_message_at, v.closed_at,
       case v.state when 'CLOSED' then null when 'WAITING_ON_CITIZEN' then v.last_message_at + interval '14 days'
            else v.last_message_at + interval '24 hours' end,
       case when v.is_held then v.member_id end,
       case when not v.is_held and v.messages > 1 and not v.is_outside then v.member_id end,
       case when v.is_held then timestamptz '{held_until}' end,
       case when v.is_held or (v.messages > 1 and not v.is_outside) then 1 else 0 end
from stage.conversation v
join stage.contact k using (tenant_id, network, server_host, contact_number)
where v.half = $1 order by v.opened_at;

-- step: delivery, of each half
insert into belfry.delivery (tenant_id, id, created_at, version, origin, origin_id, social_account_id, kind,
    outbound_kind, text, target, content_hash, due_at, state, send_key, fence, attempts, resends, checks, first_sent_at,
    sent_at, remote_id, permalink, published_at)
select m.tenant_id, stage.id(m.occurred_at, m.n * 1000 + m.i, 33), m.occurred_at, 3, 'REPLY',
       stage.id(m.occurred_at, m.n * 1000 + m.i, 34), m.account_id, 'CREATE', 'REPLY', p.text,
       jsonb_build_object('reply_to', stage.target(m.network, m.handle, m.n, m.i - 1),
                          'private', m.channel_kind <> 'PUBLIC'),
       sha256(convert_to(p.text, 'UTF8')), m.occurred_at - interval '2 seconds', 'PUBLISHED',
       stage.id(m.occurred_at, m.n * 1000 + m.i, 33)::text, 1, 1, 0, 0, m.occurred_at - interval '1 second',
       m.occurred_at - interval '1 second', stage.external_id(m.network, m.handle, m.n, m.i),
       case when m.channel_kind = 'PUBLIC' then stage.permalink(m.network, m.handle, m.n, m.i) end, m.occurred_at
from stage.message m
join stage.phrase p on p.kind = 'answer' and p.slot = floor(stage.chance(m.n * 1000 + m.i, 50) * {answer})::int
where m.half = $1 and m.is_delivered order by m.occurred_at;

-- step: message, of each half
insert into belfry.message (tenant_id, id, created_at, version, conversation_id, social_account_id, network,
    server_host, external_id, version_tag, root_external_id, parent_external_id, reply_target, direction, visibility,
    author_kind, contact_id, author_id, intent, language, text, text_at, first_text_at, first_version_tag, occurred_at,
    published_at, permalink, outbound_kind, purpose, delivery_id)
select m.tenant_id, stage.id(m.occurred_at, m.n * 1000 + m.i, 35), m.occurred_at, 1, m.conversation_id, m.account_id,
       m.network, m.server_host, stage.external_id(m.network, m.handle, m.n, m.i), '1',
       stage.external_id(m.network, m.handle, m.n, 1),
       case when m.i > 1 then stage.external_id(m.network, m.handle, m.n, m.i - 1) end,
       case when not m.is_sent then stage.target(m.network, m.handle, m.n, m.i) end,
       case when m.is_sent then 'OUTBOUND' else 'INBOUND' end,
       case m.channel_kind when 'PUBLIC' then 'PUBLIC' else 'DIRECT' end,
       case when not m.is_sent then 'CITIZEN' when m.is_outside then 'EXTERNAL' else 'COLLEAGUE' end,
       case when not m.is_sent then m.contact_id end, case when m.is_delivered then m.member_id end,
       case when m.is_thanks then 'THANKS' end, 'nl', p.text, m.occurred_at, m.occurred_at, '1', m.occurred_at,
       case when m.is_sent then m.occurred_at end,
       case when m.channel_kind = 'PUBLIC' then stage.permalink(m.network, m.handle, m.n, m.i) end,
       case when m.is_sent then 'REPLY' end,
       case when not m.is_sent then null when m.i = m.messages and m.state = 'WAITING_ON_CITIZEN'
            then 'CLARIFYING_QUESTION' when m.formal then 'REFERRAL' else 'ANSWER' end,
       case when m.is_delivered then stage.id(m.occurred_at, m.n * 1000 + m.i, 33) end
from stage.message m
join stage.phrase p on p.kind = case when m.is_thanks then 'thanks' when m.is_sent then 'answer' else 'question' end
    and p.slot = floor(stage.chance(m.n * 1000 + m.i, 50)
        * case when m.is_thanks then {thanks} when m.is_sent then {answer} else {question} end)::int
where m.half = $1 order by m.occurred_at;

-- step: own posts, of each half
insert into belfry.message (tenant_id, id, created_at, version, social_account_id, network, server_host, external_id,
    version_tag, root_external_id, direction, visibility, author_kind, language, text, text_at, first_text_at,
    first_version_tag, occurred_at, published_at, permalink, outbound_kind, like_count, repost_count, reply_count,
    quote_count, counted_at)
select tenant_id, stage.id(at, n, 36), at, 1, account_id, network, server_host, external_id, '1', external_id,
       'OUTBOUND', 'PUBLIC', 'EXTERNAL', 'nl', text, at, at, '1', at, at, stage.permalink(network, handle, n, 999),
       (array['STARTER', 'STARTER', 'STARTER', 'STARTER', 'STARTER', 'STARTER', 'STARTER', 'RESHARE', 'RESHARE',
              'PROACTIVE'])[1 + floor(stage.chance(n, 60) * 10)::int],
       floor(stage.chance(n, 61) * 40)::int, floor(stage.chance(n, 62) * 9)::int, floor(stage.chance(n, 63) * 5)::int,
       floor(stage.chance(n, 64) * 2)::int, at + interval '30 days'
from (
    select o.tenant_id, o.first + p as n, a.id as account_id, a.network, a.server_host, a.handle, f.text,
           timestamptz '{until}' - interval '{days} days' * stage.chance(o.first + p, 65) as at,
           stage.external_id(a.network, a.handle, o.first + p, 999) as external_id
    from stage.organization o
    cross join lateral generate_series(1, o.conversations / 8) p
    join stage.account a on a.tenant_id = o.tenant_id and a.network <> 'WEBFORM'
        and a.slot = floor(stage.chance(o.first + p, 66) * 100)::int
    join stage.phrase f on f.kind = 'post' and f.slot = floor(stage.chance(o.first + p, 67) * {post})::int
    where o.half = $1
) post order by at;

-- step: waiting segment, of each half
insert into belfry.waiting_segment (tenant_id, id, created_at, conversation_id, opened_by, opened_at, closed_by,
                                    closed_at, outcome, wall_seconds, is_first)
select m.tenant_id, stage.id(m.occurred_at, m.n * 1000 + m.i, 37), m.occurred_at, m.conversation_id,
       stage.id(m.occurred_at, m.n * 1000 + m.i, 35), m.occurred_at,
       case when r.i is not null then stage.id(r.occurred_at, r.n * 1000 + r.i, 35) else v.closing_id end,
       coalesce(r.occurred_at, v.closed_at),
       case when r.i is not null then 'ANSWERED' when v.closing_id is null then null
            when v.outcome in ('SPAM', 'NO_ANSWER_NEEDED') then 'DISMISSED' else 'UNANSWERED_CLOSED' end,
       floor(date_part('epoch', coalesce(r.occurred_at, v.closed_at) - m.occurred_at))::bigint, m.i = 1
from stage.message m
left join stage.message r on r.n = m.n and r.i = m.i + 1
left join stage.conversation v on v.n = m.n and v.state = 'CLOSED' and m.i = m.messages
where m.half = $1 and not m.is_sent and not m.is_thanks order by m.occurred_at;

-- step: reply, of each half
insert into belfry.reply (tenant_id, id, created_at, conversation_id, message_id, delivery_id, segment_id, purpose,
                          author_id, follow_up)
select m.tenant_id, stage.id(m.occurred_at, m.n * 1000 + m.i, 34), m.occurred_at, m.conversation_id,
       stage.id(m.occurred_at, m.n * 1000 + m.i, 35), stage.id(m.occurred_at, m.n * 1000 + m.i, 33),
       stage.id(q.occurred_at, q.n * 1000 + q.i, 37),
       case when m.i = m.messages and m.state = 'WAITING_ON_CITIZEN' then 'CLARIFYING_QUESTION'
            when m.formal then 'REFERRAL' else 'ANSWER' end,
       m.member_id, false
from stage.message m
join stage.message q on q.n = m.n and q.i = m.i - 1
where m.half = $1 and m.is_delivered order by m.occurred_at;

-- step: closing, of each half
insert into belfry.closing (tenant_id, id, created_at, conversation_id, at, outcome, text, closed_by)
select v.tenant_id, v.closing_id, v.closed_at, v.id, v.closed_at, v.outcome, p.text, v.member_id
from stage.conversation v
join stage.phrase p on p.kind = 'closing' and p.slot = floor(stage.chance(v.n, 70) * {closing})::int
where v.half = $1 and v.state = 'CLOSED' order by v.closed_at;

-- step: claim, of each half
insert into belfry.claim (tenant_id, id, created_at, conversation_id, holder_id, fence, state, claimed_at,
                          last_active_at, ended_at)
select v.tenant_id, stage.id(v.last_message_at, v.n, 38), v.last_message_at - v.step / 10, v.id, v.member_id, 1,
       case when v.is_held then 'HELD' else 'COMPLETED' end, v.last_message_at - v.step / 10, v.last_message_at,
       case when not v.is_held then v.last_message_at end
from stage.conversation v
where v.half = $1 and (v.is_held or (v.messages > 1 and not v.is_outside)) order by v.last_message_at;

-- step: participant, of each half
insert into belfry.participant (tenant_id, id, created_at, conversation_id, membership_id, kind)
select v.tenant_id, stage.id(v.opened_at, v.n, 39), v.opened_at + v.step / 2, v.id, m.id, 'COLLABORATOR'
from stage.conversation v
join stage.member m on m.tenant_id = v.tenant_id and m.slot = floor(stage.chance(v.n, 71) * v.members)::int
where v.half = $1 and stage.chance(v.n, 72) < 0.04 and m.id <> v.member_id order by v.opened_at;

-- step: references back and checked
do $$
declare each record;
begin
    for each in select * from stage.reference order by child::text, name loop
        execute format('alter table %s add constraint %I %s', each.child, each.name, each.definition);
    end loop;
end $$;

-- step: tools away
drop schema stage cascade;
