import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A plugin of oxlint. Rows with owners are reached by `request.owned(table)` alone, which knows who is asking: SQL that names
 * such a table, as text or as a value, is refused everywhere but in src/ownership.
 */

const RESOURCES = join(import.meta.dirname, '../src/resources')

/** Owned tables by the name of their constant: `export const notes = ownedTable('notes', …)`. */
function declaredTables() {
  const tables = new Map()
  for (const file of readdirSync(RESOURCES).filter((name) => name.endsWith('.ts'))) {
    const source = readFileSync(join(RESOURCES, file), 'utf8')
    for (const [, constant, table] of source.matchAll(/export const (\w+) = ownedTable\(\s*['"](\w+)['"]/g))
      tables.set(constant, table)
  }
  return tables
}

const tables = declaredTables()
const names = [...new Set(tables.values())].join('|')
const NAMED = new RegExp(
  String.raw`\b(?:from|join|into|update|using|table|copy|lock|truncate)\s+(?:only\s+)?(?:"?\w+"?\.)?"?(${names})\b`,
  'i',
)
/** What begins as a statement does; prose does not. */
const STATEMENT = /^\s*(?:select|insert|update|delete|with|truncate|copy|lock|alter|drop|merge)\b/i

const message = (table) =>
  `${table} has owners: read and write it by request.owned(${table}), and say what else must hold by condition() (docs/resources.md).`

/** The variable that an expression begins with: `notes` of `notes.text`. */
const root = (node) =>
  node.type === 'MemberExpression' || node.type === 'TSNonNullExpression'
    ? root(node.object ?? node.expression)
    : node

const isSql = ({ type, name, object }) =>
  (type === 'Identifier' && name === 'sql') || (object !== undefined && isSql(object))

const rule = {
  create(context) {
    if (names === '') return {}
    const report = (node, table) => context.report({ node, message: message(table) })
    /** Names under which this file has imported owned tables. */
    const imported = new Map(tables)

    function checkText(node, text, isStatement) {
      const [, table] = (isStatement || STATEMENT.test(text) ? NAMED.exec(text) : null) ?? []
      if (table !== undefined) report(node, table.toLowerCase())
    }
    function checkValue(node) {
      for (const element of node.elements ?? []) if (element) checkValue(element)
      const { type, name } = root(node)
      if (type === 'Identifier' && imported.has(name)) report(node, imported.get(name))
    }
    return {
      ImportSpecifier({ imported: { name }, local }) {
        if (tables.has(name)) imported.set(local.name, tables.get(name))
      },
      TaggedTemplateExpression({ tag, quasi }) {
        if (!isSql(tag)) return
        for (const part of quasi.quasis) checkText(part, part.value.raw, true)
        for (const value of quasi.expressions) checkValue(value)
      },
      CallExpression({ callee, arguments: given }) {
        if (callee.type !== 'MemberExpression' || !isSql(callee.object)) return
        for (const value of given) checkValue(value)
      },
      Literal(node) {
        if (typeof node.value === 'string') checkText(node, node.value, false)
      },
      TemplateLiteral(node) {
        if (node.parent.type !== 'TaggedTemplateExpression') checkText(node, node.quasis[0].value.raw, false)
      },
    }
  },
}

export default { meta: { name: 'owned-tables' }, rules: { 'no-raw-sql': rule } }
