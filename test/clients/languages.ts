/** A generated client: docs/clients.md says how it is made, its scenario what is done with it. */
export interface Client {
  readonly name: string
  /** What has to be there. */
  readonly tools: readonly string[]
  /** The folders of test/clients that its scenario is in. */
  readonly sources: readonly string[]
  /** Where they go. */
  readonly place: string
  /** Compiles all as strictly as can be, and walks the scenario. */
  readonly checks: readonly string[]
}

const typescript = (name: string): Client => ({
  name,
  tools: ['npm'],
  sources: ['typescript', name],
  place: '.',
  checks: [
    'npm pkg set type=module',
    'npm install --silent --no-save @types/node@20.19.43',
    'npx tsc',
    '$TSX scenario.ts',
  ],
})

const MAVEN =
  '-q -B -Dstyle.color=never -Dmaven.compiler.release=17 -Dmaven.compiler.showWarnings=true ' +
  '-Dmaven.compiler.failOnWarning=true -Dexec.mainClass=groundwork.Scenario'

const EXEC = 'org.codehaus.mojo:exec-maven-plugin:3.5.0:java'

const LINT =
  '<configuration><compilerArgs><arg>-Xlint:all,-serial,-deprecation</arg></compilerArgs></configuration>'

export const clients: Client[] = [
  typescript('hey-api'),
  typescript('openapi-fetch'),
  {
    name: 'python',
    sources: ['python'],
    tools: ['python3'],
    place: '.',
    checks: [
      '.venv/bin/pip install --quiet mypy==1.19.0 types-python-dateutil==2.9.0.20251115 ./client',
      '.venv/bin/mypy --strict --no-error-summary client/groundwork_client scenario.py',
      '.venv/bin/python scenario.py',
    ],
  },
  {
    name: 'go',
    sources: ['go'],
    tools: ['java', 'mvn', 'go'],
    place: 'client',
    checks: ['cd client && go mod tidy && go vet . && go test -count=1 -run Scenario -v .'],
  },
  {
    name: 'java',
    sources: ['java'],
    tools: ['java', 'mvn'],
    place: 'client/src/main/java/groundwork',
    checks: [
      // The generator's own code has these two; no other warning is let pass.
      `sed -i '/<artifactId>maven-compiler-plugin/{n;s|$|${LINT}|}' client/pom.xml`,
      `cd client && mvn ${MAVEN} compile ${EXEC}`,
    ],
  },
  {
    name: 'kotlin',
    sources: ['kotlin'],
    tools: ['java', 'mvn'],
    place: 'client',
    checks: [
      // The generated tests are empty, and of a library that is not kept.
      `cd client && rm -r src/test && mvn -q -B -Dstyle.color=never -Dexec.mainClass=ScenarioKt compile ${EXEC}`,
    ],
  },
  {
    name: 'rust',
    sources: ['rust'],
    tools: ['java', 'mvn', 'cargo'],
    place: 'client/examples',
    checks: [
      'cd client && cargo add --quiet --dev tokio@1 --features macros,rt',
      // Without TLS, which takes longest to compile, and is not asked for on this machine.
      'cd client && RUSTFLAGS="-D warnings" cargo run --quiet --no-default-features --example scenario',
    ],
  },
]
