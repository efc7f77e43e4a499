import type { Send } from '../database/pool/transaction.ts'
import { type Carried, keptOf, ownColumns } from './carried.ts'
import type { Found } from './look/look-at-tables.ts'
import { AdoptionRefused } from './look/refused.ts'

/**
 * Views under the template's names, so that its backend goes on with the same rows while traffic moves over. It deletes through
 * them as it is; what it adds or changes passes triggers, which do what this service would: a changed password, and one who
 * is deactivated or no superuser any more, end sessions and keys; a changed address is to be verified.
 */
export async function bridge(send: Send, carried: readonly Carried[]): Promise<void> {
  for (const { from } of carried) for (const text of from === 'user' ? USER : ITEM) await send(text)
  for (const { from } of carried)
    await send(`revoke execute on function write_template_${from}() from public`)
  for (const { from, kept } of carried)
    for (const { grant } of await send<{ grant: string }[]>(grantsOf(kept, from))) await send(grant)
}

/** Why the template's backend could not go on; empty where it can. */
export function bridgeRefusals(found: Found, carried: readonly Carried[]): string[] {
  const own = carried.flatMap((table) => ownColumns(found, table))
  if (own.length === 0) return []
  return [`--bridge: the template's backend needs columns that have no place here: ${own.join(', ')}`]
}

/** Of an adopted database: makes the views, or takes them away. @throws AdoptionRefused */
export async function switchBridge(
  send: Send,
  found: Found,
  options: { readonly bridge: boolean; readonly bridgeOff: boolean },
  tell: (line: string) => void,
): Promise<void> {
  const isThere = found.tables.get('user')?.kind === 'view'
  if (options.bridgeOff) await removeBridge(send)
  if (options.bridge && !isThere) {
    const refusals = bridgeRefusals(found, keptOf(found))
    if (refusals.length > 0) throw new AdoptionRefused(refusals)
    await bridge(send, keptOf(found))
  }
  if (options.bridge || options.bridgeOff) tell(`The bridge is ${options.bridge ? 'there' : 'gone'}.`)
}

async function removeBridge(send: Send): Promise<void> {
  for (const name of ['"user"', 'item']) await send(`drop view if exists ${name}`)
  for (const name of ['write_template_user', 'write_template_item'])
    await send(`drop function if exists ${name}()`)
}

/** Security definer: whoever may write to the view may write no more than it allows. */
const AS_OWNER = 'returns trigger language plpgsql security definer set search_path = public, pg_temp'

const CHANGED = ['email', 'hashed_password', 'full_name', 'is_active', 'is_superuser', 'created_at']

/** What the statement leaves alone may have been changed by this service just now. */
const keepUnlessChanged = (name: string) =>
  `${name} = case when new.${name} is distinct from old.${name} then new.${name} else ${name} end`

const USER = [
  `create view "user" as
   select email, is_active, is_superuser, full_name, id, hashed_password, created_at from users where deleted_at is null`,
  `create function write_template_user() ${AS_OWNER} as $$
   begin
     -- A row here may have its domain in ASCII, which PostgreSQL can't tell to be the same.
     if new.email ~ '@.*[^ -~]' and (tg_op = 'INSERT' or lower(new.email) <> lower(old.email)) then
       raise check_violation using message = 'an address whose domain is beyond ASCII is added by the new service alone';
     end if;
     if tg_op = 'INSERT' then
       insert into users (id, email, hashed_password, full_name, is_active, is_superuser, created_at)
       values (coalesce(new.id, gen_random_uuid()), new.email, new.hashed_password, new.full_name,
         coalesce(new.is_active, true), coalesce(new.is_superuser, false), coalesce(new.created_at, now()))
       returning id, is_active, is_superuser, created_at into new.id, new.is_active, new.is_superuser, new.created_at;
       return new;
     end if;
     update users set ${CHANGED.map(keepUnlessChanged).join(', ')},
       is_verified = is_verified and lower(old.email) = lower(new.email),
       pending_email = case when old.email = new.email and old.hashed_password = new.hashed_password then pending_email end,
       credentials_version = credentials_version + (
         old.hashed_password <> new.hashed_password or is_active and old.is_active and not new.is_active
         or is_superuser and old.is_superuser and not new.is_superuser
       )::integer
     where id = old.id and deleted_at is null;
     if not found then
       return null;
     end if;
     delete from one_time_tokens where user_id = old.id and old.hashed_password <> new.hashed_password;
     delete from api_keys where user_id = old.id and old.is_active and not new.is_active;
     return new;
   end $$`,
  `create trigger write_template_user instead of insert or update on "user"
   for each row execute function write_template_user()`,
]

const ITEM = [
  `create view item as select description, title, id, owner_id, created_at from items`,
  `create function write_template_item() ${AS_OWNER} as $$
   begin
     insert into items (id, title, description, owner_id, created_at)
     values (coalesce(new.id, gen_random_uuid()), new.title, new.description, new.owner_id, coalesce(new.created_at, now()))
     returning id, created_at into new.id, new.created_at;
     return new;
   end $$`,
  `create trigger write_template_item instead of insert on item for each row execute function write_template_item()`,
]

/** The template's role may do with a view what it may do with the old table. */
const grantsOf = (table: string, view: string) => `
  select format('grant %s on %I to %s', privilege_type, '${view}', case grantee when 0 then 'public' else grantee::regrole::text end) as grant
  from pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
  where oid = '${table}'::regclass and privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')`
