import { test, type Test } from 'tap'
import { examineConfig, loadConfig } from '../src/config/config.ts'
import { readEnvFile } from '../src/config/env-file.ts'

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

const TEMPLATE = `\uFEFFPROJECT_NAME="Full Stack FastAPI Project"
STACK_NAME=full-stack-fastapi-project
FRONTEND_HOST=http://localhost:5173
ENVIRONMENT=local
BACKEND_CORS_ORIGINS="http://localhost,http://localhost:5173,https://localhost,https://localhost:5173"
SECRET_KEY=changethis
FIRST_SUPERUSER=admin@example.com
FIRST_SUPERUSER_PASSWORD=changethis
SMTP_HOST=
SMTP_TLS=True
SMTP_PORT=587
POSTGRES_SERVER=localhost
POSTGRES_PORT=5432
POSTGRES_DB=app
POSTGRES_USER=postgres
POSTGRES_PASSWORD=changethis
DATABASE_URL=postgresql://\${POSTGRES_USER}:\${POSTGRES_PASSWORD}@\${POSTGRES_SERVER}:\${POSTGRES_PORT}/\${POSTGRES_DB}
SENTRY_DSN=
`

void test('the .env of the FastAPI template works as it is, whatever editor saved it', async (t) => {
  for (const text of [TEMPLATE, TEMPLATE.replaceAll('\n', '\r\n')]) {
    const config = loaded(t, text)
    t.match(config, {
      PROJECT_NAME: 'Full Stack FastAPI Project',
      SECRET_KEY: 'changethis',
      DATABASE_URL: 'postgresql://postgres:changethis@localhost:5432/app',
      mail: 'inbox',
    })
    t.ok(config.corsOrigins.includes('https://localhost:5173'))
  }
  const other = loaded(t, TEMPLATE, { POSTGRES_SERVER: 'db', POSTGRES_PASSWORD: '${HOME}$$' })
  t.equal(other.DATABASE_URL, 'postgresql://postgres:${HOME}$$@db:5432/app')
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
  for (const [line, value] of lines)
    t.strictSame(readEnvFile(line), { values: { A: value }, faults: [] }, line)
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
  t.throws(() => name('PROJECT_NAME=${NOWHERE}'), {
    message: /^ {2}- PROJECT_NAME: \$\{NOWHERE\} in \.env is not set$/m,
  })
  t.throws(() => name('PROJECT_NAME=${B}\nB=${PROJECT_NAME}'), {
    message: /PROJECT_NAME: /,
    name: 'ConfigError',
  })
  t.equal(name('PROJECT_NAME=x\nOF_ANOTHER_PROGRAM=${NOWHERE}'), 'x', 'what is for others is theirs')
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
