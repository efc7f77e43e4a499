import type { Send } from '../../database/pool/transaction.ts'

/** What the database has, as its catalogue says it: neither rows nor locks. */
export interface Found {
  readonly database: string
  readonly role: string
  readonly tables: ReadonlyMap<string, Table>
  /** Revision of Alembic; undefined where it has none. */
  readonly revision: string | undefined
  columnsOf(table: string): readonly Column[]
  /** Foreign keys of other tables to the template's. */
  readonly references: readonly Reference[]
  /** Foreign keys of the template's tables to others. */
  readonly links: readonly Link[]
  /** Views, triggers and policies on the template's tables. */
  readonly dependents: readonly string[]
  /** Whether this service's migrations were applied here. */
  readonly is_migrated: boolean
  readonly may_create: boolean
}

export interface Table {
  readonly kind: 'table' | 'view'
  readonly owner: string
  readonly is_owned: boolean
  readonly bytes: number
  /** Its comment. */
  readonly note: string | null
}

export interface Column {
  readonly name: string
  readonly type: string
}

export interface Reference {
  readonly table: string
  /** Of the constraint, quoted. */
  readonly name: string
  readonly definition: string
  readonly to: 'user' | 'item'
  /** Whether it refers to the id, and nothing else. */
  readonly is_of_id: boolean
  readonly is_owned: boolean
}

export interface Link {
  readonly table: string
  readonly name: string
}

/** @param names the template's tables; others are people's own */
export async function lookAtTables(send: Send, names: readonly ('user' | 'item')[]): Promise<Found> {
  const ofTemplate = idsOf(names)
  const rowsOf = async <Row>(text: string) => [...(await send(text))] as Row[]
  const [about] = await rowsOf<Pick<Found, 'database' | 'role' | 'is_migrated' | 'may_create'>>(ABOUT)
  const tables = new Map((await rowsOf<Table & { name: string }>(TABLES)).map((table) => [table.name, table]))
  const columns = await rowsOf<Column & { table: string }>(COLUMNS)
  const [revision] = tables.has('alembic_version')
    ? await rowsOf<{ version_num: string }>('select version_num from alembic_version')
    : []
  return {
    ...about!,
    tables,
    columnsOf: (table) => columns.filter((column) => column.table === table),
    revision: revision?.version_num,
    references: await rowsOf<Reference>(referencesTo(ofTemplate)),
    links: await rowsOf<Link>(linksOf(ofTemplate)),
    dependents: (await rowsOf<{ what: string }>(dependentsOf(ofTemplate))).map(({ what }) => what),
  }
}

const ABOUT = `
  select current_database() as database, quote_ident(current_user) as role,
    to_regnamespace('drizzle') is not null as is_migrated,
    has_schema_privilege('public', 'create') and (
      to_regnamespace('drizzle') is not null or has_database_privilege(current_database(), 'create')
    ) as may_create`

const NAMES = `('user', 'item', 'template_user', 'template_item', 'users', 'items', 'alembic_version')`

const TABLES = `
  select relname as name, case when relkind = 'v' then 'view' else 'table' end as kind,
    quote_ident(pg_get_userbyid(relowner)) as owner, pg_has_role(relowner, 'usage') as is_owned,
    case when relkind = 'v' then 0 else pg_table_size(oid) end::float8 as bytes,
    obj_description(oid, 'pg_class') as note
  from pg_class
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') and relname in ${NAMES}`

const COLUMNS = `
  select relname as table, attname as name, format_type(atttypid, null) as type
  from pg_attribute join pg_class on pg_class.oid = attrelid
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    and relname in ('user', 'item', 'template_user', 'template_item') and attnum > 0 and not attisdropped
  order by attnum`

const idsOf = (names: readonly string[]) => `(
    select oid from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname in ('${names.join("', '")}')
  )`

const referencesTo = (ofTemplate: string) => `
  select conrelid::regclass::text as table, quote_ident(conname) as name, pg_get_constraintdef(pg_constraint.oid) as definition,
    referred.relname as to, array_length(confkey, 1) = 1 and exists (
      select from pg_attribute where attrelid = confrelid and attnum = confkey[1] and attname = 'id'
    ) as is_of_id, pg_has_role(referring.relowner, 'usage') as is_owned
  from pg_constraint join pg_class referred on referred.oid = confrelid join pg_class referring on referring.oid = conrelid
  where contype = 'f' and conparentid = 0 and confrelid in ${ofTemplate} and conrelid not in ${ofTemplate}
  order by 1, 2`

const linksOf = (ofTemplate: string) => `
  select conrelid::regclass::text as table, quote_ident(conname) as name
  from pg_constraint
  where contype = 'f' and conparentid = 0 and conrelid in ${ofTemplate} and confrelid not in ${ofTemplate}
  order by 1, 2`

const dependentsOf = (ofTemplate: string) => `
  select distinct 'view ' || ev_class::regclass as what
  from pg_depend join pg_rewrite on pg_rewrite.oid = objid and classid = 'pg_rewrite'::regclass
  where refobjid in ${ofTemplate} and ev_class not in ${ofTemplate}
  union select 'trigger ' || tgname || ' on ' || tgrelid::regclass from pg_trigger
  where not tgisinternal and tgrelid in ${ofTemplate}
  union select 'policy ' || polname || ' on ' || polrelid::regclass from pg_policy where polrelid in ${ofTemplate}
  order by 1`
