import { readFileSync } from 'node:fs'
import { test, type Test } from 'tap'
import { examineConfig, loadConfig } from '../src/config/config.ts'
import { readDatabaseUrl } from '../src/config/database/database-url.ts'
import { readEnvFile } from '../src/config/sources/env-file.ts'

/** The settings of a folder with this `.env`, and with this environment. */
function loaded(t: Test, file: string, env: Record<string, string> = {}) {
  const folder = t.testdir({ '.env': file })
  const [back, before] = [process.cwd(), { ...process.env }]
  process.chdir(folder)
  process.env = { DATA_DIR: folder, ...env }
  try {
    return loadConfig()
  } finally {
    process.chdir(back)
    process.env = before
  }
}

/** As the FastAPI template has it now, and as it had it before. */
const [NEWER, OLDER] = ['template', 'template-older'].map((name) =>
  readFileSync(`test/support/template/${name}.env`, 'utf8'),
) as [string, string]

void test('the .env of the FastAPI template works as it is, whatever editor saved it', async (t) => {
  for (const text of [OLDER, `\uFEFF${OLDER.replaceAll('\n', '\r\n')}`]) {
    const config = loaded(t, text)
    t.match(config, {
      PROJECT_NAME: 'Full Stack FastAPI Project',
      SECRET_KEY: 'changethis',
      DATABASE_URL: 'postgresql://postgres:changethis@localhost:5432/app',
      mail: 'inbox',
    })
    t.ok(config.corsOrigins.includes('https://localhost:5173'))
  }
  const other = loaded(t, OLDER, { POSTGRES_SERVER: 'db', POSTGRES_PASSWORD: '${HOME}$$' })
  t.equal(other.DATABASE_URL, 'postgresql://postgres:${HOME}$$@db:5432/app')
  t.match(loaded(t, NEWER), {
    SECRET_KEY: 'changethis',
    DATABASE_URL: 'postgresql://postgres:changethis@localhost:5432/app',
    mail: 'smtp',
    SMTP_HOST: 'localhost',
    SMTP_PORT: 1025,
    SMTP_TLS: false,
    SMTP_SSL: false,
    linkBase: 'http://localhost:8000',
  })
})

void test('names of a .env that mean nothing here are listed, without those that other values are made of', async (t) => {
  t.strictSame(loaded(t, OLDER).unusedNames, ['STACK_NAME'])
  t.strictSame(loaded(t, NEWER).unusedNames, ['FASTAPI_ENV'])
  t.strictSame(loaded(t, 'SMTP_HSOT=mail\nPORT=1\nUSED=x\nPROJECT_NAME=${USED}').unusedNames, ['SMTP_HSOT'])
  t.strictSame(
    loaded(t, 'PORT=1', { STACK_NAME: 'x' }).unusedNames,
    [],
    'the environment has names of others',
  )
})

void test('without DATABASE_URL, it is made of POSTGRES_SERVER, PORT, USER, PASSWORD and DB', async (t) => {
  const url = (lines: string[], env = {}) => loaded(t, lines.join('\n'), env).DATABASE_URL
  const server = 'POSTGRES_SERVER=db'
  t.equal(url([server]), 'postgresql://postgres@db:5432/postgres')
  t.equal(
    url([
      server,
      'POSTGRES_PORT=5433',
      'POSTGRES_USER=a@b',
      "POSTGRES_PASSWORD='p:/?#[]@%$ w'",
      'POSTGRES_DB=x/y',
    ]),
    'postgresql://a%40b:p%3A%2F%3F%23%5B%5D%40%25%24%20w@db:5433/x%2Fy',
  )
  t.match(readDatabaseUrl(url([server, "POSTGRES_PASSWORD='p:/?#[]@%$ w'"])!), { password: 'p:/?#[]@%$ w' })
  t.match(readDatabaseUrl(url(['POSTGRES_SERVER=::1'])!), { hosts: ['::1'], ports: [5432] })
  t.match(readDatabaseUrl(url(['POSTGRES_SERVER=/run/pg'])!), { socket: '/run/pg' })
  t.equal(url([server, 'POSTGRES_USER=app']), 'postgresql://app@db:5432/app', 'as the image of PostgreSQL')
  t.equal(url([server, 'DATABASE_URL=postgres://h/x']), 'postgres://h/x', 'which wins')
  t.equal(url(['POSTGRES_PASSWORD=x', 'POSTGRES_PORT=5432']), undefined, 'without a server it is embedded')
  t.equal(url([], { POSTGRES_PORT: 'tcp://10.0.0.1:5432' }), undefined, 'as Kubernetes sets it')
  t.throws(() => url([server, 'POSTGRES_PORT=five']), {
    message: /^ {2}- POSTGRES_SERVER and others: its port must be a number/m,
  })
})

void test('FASTAPI_ENV other than development is not taken for local', async (t) => {
  t.equal(loaded(t, 'FASTAPI_ENV=development').ENVIRONMENT, 'local')
  t.throws(() => loaded(t, 'FASTAPI_ENV=production'), {
    message: /^ {2}- ENVIRONMENT: must be set where FASTAPI_ENV is not development/m,
  })
  t.equal(loaded(t, 'FASTAPI_ENV=production\nENVIRONMENT=local').ENVIRONMENT, 'local', 'on purpose')
})

void test('quotes, comments and escapes in a .env are read, and unreadable lines reported', async (t) => {
  const lines: [line: string, value: string][] = [
    ['A=plain', 'plain'],
    ['export A=plain', 'plain'],
    ['  A  =  plain  ', 'plain'],
    ['A=with # a comment', 'with'],
    ['A=pa#ss', 'pa#ss'],
    ['A="pa # ss" # a comment', 'pa # ss'],
    ["A='pa\"ss'", 'pa"ss'],
    ['A="pa\\"s\\\\s"', 'pa"s\\s'],
    ['A="two\\nlines"', 'two\nlines'],
    ['A="two\nlines"', 'two\nlines'],
    ["A='\\n'", '\\n'],
    ['A=x=y==', 'x=y=='],
    ['A=', ''],
    ['A=""', ''],
    ['A=#', ''],
    ['A=# a comment', ''],
    ['A= #a comment', ''],
    ['A=#hunter2#', '#hunter2#'],
    ['A=#hunter2# # a comment', '#hunter2#'],
    ['A=pa#ss #a comment', 'pa#ss'],
    ['A=first\nA=last', 'last'],
    ["A=it's", "it's"],
  ]
  for (const [line, value] of lines) t.match(readEnvFile(line), { values: { A: value }, faults: [] }, line)
  const broken = readEnvFile('A=1\nB="never closed\nC=2\nnot a line\nD="x"y\n# fine\n\nE')
  t.strictSame(broken.values, { A: '1', C: '2' }, 'a quote that nobody closed swallows nothing')
  t.strictSame(
    broken.faults,
    [2, 4, 5].map((line) => `.env: line ${line} can't be read`),
  )
})

void test('${NAME} in a .env is expanded, and any other $ is kept', async (t) => {
  const name = (text: string, env = {}) => loaded(t, text, env).PROJECT_NAME
  t.equal(name('B=b\nPROJECT_NAME=a${B}c'), 'abc')
  t.equal(name('PROJECT_NAME=a${B}c\nB=b'), 'abc', 'in any order')
  t.equal(name('B=b${C}\nC=c\nPROJECT_NAME="${B}"'), 'bc', 'through others')
  t.equal(name('B=file\nPROJECT_NAME=${B}', { B: 'environment' }), 'environment')
  t.equal(name('PROJECT_NAME=${B:-default}'), 'default')
  t.equal(name('B=\nPROJECT_NAME=x${B}'), 'x')
  t.equal(
    name('PROJECT_NAME=x${B}', { B: '${HOME}' }),
    'x${HOME}',
    'what the environment says is not expanded',
  )
  for (const secret of ['pa$$word', '$HOME', 'a$', '$1', '$(id)', '${', '${}', '${a b}', '{x}$'])
    t.equal(name(`PROJECT_NAME=${secret}`), secret)
  t.equal(name('PROJECT_NAME=\\${HOME}'), '${HOME}')
  t.equal(name('PROJECT_NAME=pa\\$word'), 'pa$word')
  t.equal(name('B=b\nPROJECT_NAME="\\${B} ${B}"'), '${B} b')
  t.equal(name("B=b\nPROJECT_NAME='${B} \\${B} $B'"), '${B} \\${B} $B', 'single quotes keep all')
  t.equal(name("B='${C}'\nPROJECT_NAME=x${B}"), 'x${C}', 'also of what is referred to')
  t.throws(() => name('PROJECT_NAME=${NOWHERE}'), {
    message: /^ {2}- PROJECT_NAME: \$\{NOWHERE\} in \.env is not set$/m,
  })
  t.throws(() => name('PROJECT_NAME=${B}\nB=${PROJECT_NAME}'), {
    message: /PROJECT_NAME: /,
    name: 'ConfigError',
  })
  t.equal(name('PROJECT_NAME=x\nOF_ANOTHER_PROGRAM=${NOWHERE}'), 'x', 'what is for others is theirs')
})

void test('a reference in a .env may have a default or an alternative', async (t) => {
  const name = (text: string, env = {}) => loaded(t, text, env).PROJECT_NAME
  const rows: [value: string, unset: string, empty: string, set: string][] = [
    ['x${B:-default}', 'xdefault', 'xdefault', 'xb'],
    ['x${B-default}', 'xdefault', 'x', 'xb'],
    ['x${B:+other}', 'x', 'x', 'xother'],
    ['x${B+other}', 'x', 'xother', 'xother'],
    ['x${B:-}', 'x', 'x', 'xb'],
    ['x${B:-${C:-deep}}y', 'xdeepy', 'xdeepy', 'xby'],
    ['x${B:-a:-b}', 'xa:-b', 'xa:-b', 'xb'],
  ]
  for (const [value, unset, empty, set] of rows) {
    t.equal(name(`PROJECT_NAME=${value}`), unset, `${value} unset`)
    t.equal(name(`B=\nPROJECT_NAME=${value}`), empty, `${value} empty`)
    t.equal(name(`B=b\nPROJECT_NAME=${value}`), set, `${value} set`)
    t.equal(name(`PROJECT_NAME=${value}`, { B: 'b' }), set, `${value} set by the environment`)
  }
  t.equal(name('PROJECT_NAME=x${B:-never closed'), 'x${B:-never closed')
})

void test('white space at the end of an environment variable is removed', async (t) => {
  const config = loaded(t, 'SMTP_USER=${A}', {
    A: 'user\r',
    PORT: '9001\r',
    FIRST_SUPERUSER_PASSWORD: 'a word and more\n',
    SMTP_PASSWORD: ' kept \r\n',
    PROJECT_NAME: '\r',
  })
  t.match(config, {
    PORT: 9001,
    FIRST_SUPERUSER_PASSWORD: 'a word and more',
    SMTP_PASSWORD: ' kept',
    SMTP_USER: 'user',
    PROJECT_NAME: 'Groundwork',
  })
})

void test('a .env that is a folder is reported as an invalid configuration', async (t) => {
  const folder = t.testdir({ '.env': {} })
  const back = process.cwd()
  process.chdir(folder)
  t.teardown(() => process.chdir(back))
  t.throws(loadConfig, {
    name: 'ConfigError',
    message: /^ {2}- \.env: is a folder, [^\n]*; put a file in its place$/m,
  })
  t.match(examineConfig().faults, [/^\.env: is a folder/], 'to the doctor, too')
})
