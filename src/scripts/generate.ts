import { generateField } from './generate/field.ts'
import { generateResource } from './generate/resource.ts'
import { undoResource } from './generate/undo.ts'
import { USAGE, UsageError } from './generate/usage.ts'

/** `npm run generate -- resource|field|undo …`: what docs/resources.md describes, and generate/usage.ts prints. */

const commands: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  resource: generateResource,
  field: generateField,
  undo: undoResource,
}

/** parseArgs throws these. */
const isOfArguments = (error: unknown) =>
  error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')

try {
  const [name = '', ...args] = process.argv.slice(2)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (['--help', '-h', 'help'].includes(name)) console.log(USAGE)
  else if (command) await command(args)
  else throw new UsageError(name === '' ? 'name a command' : `there is no command "${name}"`)
} catch (error) {
  console.error(`Nothing generated: ${error instanceof Error ? error.message : String(error)}`)
  if (error instanceof UsageError || isOfArguments(error)) console.error(`\n${USAGE}`)
  process.exitCode = 1
}
