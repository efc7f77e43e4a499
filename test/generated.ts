import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { startPostgres } from './support/postgres.ts'
import { ABOUT_RESOURCES } from './support/resource-tests.ts'

/**
 * `npm run test:generated`: in a clone, resources are generated, given fields and undone; what came of it passes the checks,
 * tests and clients that the service's own resources pass, and its migrations keep the rows that were there before.
 */

const { PATH, HOME } = process.env
const folder = mkdtempSync(join(tmpdir(), 'groundwork-generated-'))
const server = await startPostgres()
const sql = postgres(server.url, { max: 1 })

const NOTES = [
  'notes',
  'text:text(1000)',
  'pinned:flag=false',
  'due:day?',
  'price:decimal(10,2)?',
  'kind:oneOf(private,shared)=private',
  '--sort',
  'due,price',
  '--search',
  'text',
  '--filter',
  'pinned,kind,due',
]
/** Every type, by itself, with a default, and optional. */
const SAMPLES = [
  'samples',
  'title:text(100)',
  'code:text(5)=none',
  'hint:text?',
  'story:text(5000)?',
  'amount:int(1,5)',
  'number:int=0',
  'rank:int?',
  'share:decimal(5,4)',
  'price:decimal(10,2)=1.50',
  'fee:decimal(4,0)?',
  'open:flag',
  'hidden:flag=false',
  'liked:flag?',
  'starts:time',
  'ends:time?',
  'born:day',
  'paid:day?',
  'size:oneOf(small,large)',
  'state:oneOf(new,in use)=new',
  'mood:oneOf(good,bad)?',
  'labels:list(text(50))',
  'marks:list(int)?',
  'more:json?',
  'outside_id:uuid',
  'old_id:uuid?',
  'sender:email',
  'copy:email?',
  'home:url',
  'photo:url?',
  'parent_id:reference(samples,set null)?',
  'friend_id:reference(users,set null)?',
  '--sort',
  'title,story,amount,rank,share,fee,open,liked,starts,ends,born,paid,size,mood,outside_id,old_id,sender,home',
  '--search',
  'title,story,sender,photo',
  '--filter',
  'title,code,amount,rank,price,fee,open,liked,starts,ends,born,paid,state,mood,outside_id,copy,parent_id,friend_id',
]
const PROJECTS = ['projects', 'name:text(100)', '--search', 'name']
const TASKS = [
  'tasks',
  'title:text(255)',
  'done:flag=false',
  'due:day?',
  'project_id:reference(projects)',
  'assignee_id:reference(users,set null)?',
  '--readers',
  'assignee_id',
  '--sort',
  'due',
  '--search',
  'title',
  '--filter',
  'done,due,project_id',
]
const GENERATED = ['notes', 'samples', 'projects', 'tasks']

/** @throws Error with the end of what was printed, where the program fails. @returns what it printed */
function run(command: string, args: string[], env: Record<string, string> = {}): string {
  try {
    return execFileSync(command, args, {
      cwd: folder,
      env: { PATH, HOME, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 64 * 1024 * 1024,
    })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    const output = `${stdout}${stderr}`.trim().split('\n').slice(-80).join('\n')
    throw new Error(`$ ${command} ${args.join(' ')}\n${output}`, { cause: error })
  }
}
const npm = (...args: string[]) => run('npm', ['run', ...args])
const generate = (...args: string[]) => npm('generate', '--', ...args)
const migrate = () => run('npm', ['run', 'db:migrate'], { DATABASE_URL: server.url })
const status = () => run('git', ['status', '--porcelain']).trim()

function commit(message: string) {
  run('git', ['add', '--all'])
  run('git', ['commit', '--quiet', '--message', message])
}

function generateAndCommit(...args: string[]) {
  generate(...args)
  commit(args.slice(0, 2).join(' '))
}

function expect(what: string, isSo: boolean) {
  if (!isSo) throw new Error(what)
}

/** It fails with that message and changes nothing. */
function isRefused(message: RegExp, ...args: string[]) {
  const before = status()
  let output = 'it was not refused'
  try {
    generate(...args)
  } catch (error) {
    output = (error as Error).message
  }
  expect(`${args.join(' ')}: ${output}`, message.test(output) && status() === before)
}

/** What the later steps need. */
const making: [what: string, step: () => Promise<void> | void][] = [
  [
    'npm ci in a clone',
    () => {
      run('git', ['clone', '--quiet', process.cwd(), folder])
      run('git', ['config', 'user.name', 'Somebody'])
      run('git', ['config', 'user.email', 'somebody@example.com'])
      run('npm', ['ci', '--silent'])
    },
  ],
  [
    'a database of the release before, with rows',
    async () => {
      migrate()
      await sql`insert into users (email, hashed_password) values ('ada@example.com', 'x')`
      await sql`insert into items (title, owner_id) select 'Analytical Engine', id from users`
    },
  ],
  ['the notes of the README', () => generateAndCommit('resource', ...NOTES)],
  ['samples of every type', () => generateAndCommit('resource', ...SAMPLES)],
  ['projects', () => generateAndCommit('resource', ...PROJECTS)],
  ['tasks, which refer to projects and users', () => generateAndCommit('resource', ...TASKS)],
  [
    'their migrations keep the rows that were there',
    async () => {
      migrate()
      const [kept] = await sql`select count(*)::int from items where title = 'Analytical Engine'`
      expect('the item is gone', kept?.count === 1)
      await sql`insert into notes (text, owner_id) select 'Oil the gears', id from users`
    },
  ],
  [
    'a field with --fill has that value in the rows from before',
    async () => {
      isRefused(/rows from before it need a value/, 'field', 'notes', 'colour:oneOf(red,blue)')
      const told = generate('field', 'notes', 'colour:oneOf(red,blue)', '--fill', 'red', '--filter')
      expect(`it does not tell the next step: ${told}`, told.includes('take fill out of colour'))
      commit('field notes colour')
      migrate()
      const [note] = await sql`select colour from notes`
      expect(`the note has ${note?.colour}`, note?.colour === 'red')
    },
  ],
  [
    'a field that is searched is in the search index',
    async () => {
      generateAndCommit('field', 'notes', 'subtitle:text(200)?', '--search', '--sort')
      migrate()
      const [index] = await sql`select indexdef from pg_indexes where indexname = 'notes_search_index'`
      expect(`the index is ${index?.indexdef}`, /text.*subtitle/.test(String(index?.indexdef)))
    },
  ],
  [
    'undo leaves nothing of what was generated',
    () => {
      generate('resource', 'scraps', 'name:text')
      generate('undo', 'scraps')
      expect(`left: ${status()}`, status() === '')
    },
  ],
  [
    'undo drops a table that later migrations follow',
    async () => {
      generateAndCommit('resource', 'scraps', 'name:text')
      generateAndCommit('field', 'notes', 'length:int?')
      migrate()
      generateAndCommit('undo', 'scraps')
      migrate()
      const [found] = await sql`select to_regclass('scraps') as table`
      expect('the table is still there', found?.table === null)
      expect('the file is still there', !existsSync(join(folder, 'src/resources/scraps.ts')))
    },
  ],
  [
    'what would do harm is refused, and nothing is written',
    () => {
      isRefused(/tasks\.ts uses projects/, 'undo', 'projects')
      isRefused(/there is no resource scraps/, 'undo', 'scraps')
      isRefused(/is in test\/contract\/released\.json/, 'undo', 'items')
      isRefused(/notes is .* already/, 'resource', 'notes', 'name:text')
      isRefused(/users is .* already/, 'resource', 'users', 'name:text')
      isRefused(/there is no resource pears/, 'resource', 'apples', 'pear_id:reference(pears)')
      isRefused(/tasks refers to this resource already/, 'field', 'projects', 'task_id:reference(tasks)?')
      isRefused(/Usage:/, 'resource')
      run('git', ['rm', '--quiet', '--cached', 'README.md'])
      isRefused(/not committed/, 'resource', 'apples', 'name:text')
      run('git', ['reset', '--quiet'])
    },
  ],
]

/** Each looks at the whole by itself. */
const checking: typeof making = [
  ['npm run check', () => void npm('check')],
  [
    'their tests, and those that look at every resource',
    () => {
      const own = GENERATED.map((name) => `test/resources/${name}.test.ts`)
      run('npm', ['test', '--', ...own, ...ABOUT_RESOURCES])
    },
  ],
  ['the built service answers as openapi.json says', () => void npm('test:contract')],
  ['clients in TypeScript', () => void npm('test:clients', '--', 'hey-api', 'openapi-fetch')],
  [
    'Schemathesis as superuser, user and nobody',
    () => {
      const tags = GENERATED.flatMap((name) => ['--include-tag', name])
      // A share: the service's own operations are sent all of them by `npm run test:fuzz`.
      run('npm', ['run', 'test:fuzz', '--', ...tags], { FUZZ_EXAMPLES: '45' })
    },
  ],
]

let passed = 0
let failed = 0

async function take([what, step]: (typeof making)[number]): Promise<boolean> {
  const since = Date.now()
  try {
    await step()
    passed += 1
    console.log(`  ✓ ${what}  ${((Date.now() - since) / 1000).toFixed(1)} s`)
    return true
  } catch (error) {
    failed += 1
    console.log(`  ✗ ${what}\n${error instanceof Error ? error.message : String(error)}`)
    return false
  }
}

try {
  let isMade = true
  for (const step of making) isMade &&= await take(step)
  if (isMade) for (const step of checking) await take(step)
} finally {
  await sql.end()
  await server.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
