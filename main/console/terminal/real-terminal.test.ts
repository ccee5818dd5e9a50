import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import process from 'node:process'
import { describe, expect, test } from 'vitest'

const hide = '\u001B[?25l'
const show = '\u001B[?25h'
/** Of util-linux; other systems have another program of that name. */
const scriptProgram = '/usr/bin/script'
const hasScript =
  process.platform === 'linux' &&
  existsSync(scriptProgram) &&
  spawnSync(scriptProgram, ['--version'], { encoding: 'utf8' }).stdout.includes('util-linux')

const module = new URL('./index.ts', import.meta.url).href

/** A program that reports the beginning of a run and then does what `ending` says. */
function programFor(format: string, ending: string): string {
  return `
    import { createRunReporter } from ${JSON.stringify(module)}
    const reporter = createRunReporter({ format: '${format}', stdout: process.stdout, stderr: process.stderr, clock: Date })
    let seq = 0
    const tell = (event) => reporter.onEvent({ ...event, seq: ++seq, time: new Date().toISOString() })
    tell({ type: 'run-started', runId: 'r-1', site: 'rig-7', planDigest: 'a'.repeat(64), mode: 'apply',
      phases: [{ id: 'upload', title: 'Copy the ISO', expectedSeconds: 60 }], nodes: ['n1'] })
    tell({ type: 'phase-started', phase: 'upload', targets: ['n1'] })
    const finish = () => tell({ type: 'run-finished', outcome: 'done', elapsedSeconds: 1, errors: [] })
    // Long enough for the first picture.
    setTimeout(async () => { ${ending} }, 300)
  `
}

function runInTerminal(ending: string): { text: string; status: number | null } {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TERM: 'xterm',
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    TEST_NODE: process.execPath,
    TEST_PROGRAM: programFor('auto', ending),
  }
  for (const name of ['CI', 'NO_COLOR', 'FORCE_COLOR']) env[name] = undefined
  const command = 'stty cols 60 rows 15; exec "$TEST_NODE" --input-type=module -e "$TEST_PROGRAM"'
  const result = spawnSync(scriptProgram, ['-qec', command, '/dev/null'], {
    env,
    encoding: 'utf8',
    timeout: 15_000,
  })
  return { text: result.stdout, status: result.status }
}

describe.skipIf(!hasScript)('on a real pseudo-terminal (util-linux script)', () => {
  test.each([
    ['the run is done', 'finish(); await reporter.close()', 0],
    ['the program crashes', "throw new Error('crash')", 1],
    ['the program exits at once', 'process.exit(3)', 3],
    [
      'SIGTERM ends the program',
      "setTimeout(() => process.exit(9), 9000); process.kill(process.pid, 'SIGTERM')",
      143,
    ],
  ])('the cursor is shown again when %s', (_name, ending, status) => {
    const result = runInTerminal(ending)
    expect(result.text).toContain(hide)
    expect(result.text).toContain('Copy the ISO')
    expect(result.text.lastIndexOf(show)).toBeGreaterThan(result.text.lastIndexOf(hide))
    expect(result.status).toBe(status)
  })

  test('a listener of the program for the signal keeps its say', () => {
    const result = runInTerminal(`
      const watchdog = setTimeout(() => process.exit(9), 9000)
      process.on('SIGTERM', () => { clearTimeout(watchdog); finish(); void reporter.close() })
      process.kill(process.pid, 'SIGTERM')
    `)
    expect(result.status).toBe(0)
    expect(result.text).toContain('The installation is complete.')
  })

  test('colour comes with the words, never in place of them', () => {
    const result = runInTerminal('finish(); await reporter.close()')
    expect(result.text).toContain('\u001B[36m▸ running')
  })
})

test('a program whose reader closes the pipe goes on to its own end', async () => {
  const ending = `
    for (let index = 0; index < 5000; index++) tell({ type: 'warning', phase: 'upload', text: 'x'.repeat(200) })
    await reporter.close()
    process.exitCode = 7
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', programFor('json', ending)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString('utf8')
  })
  child.stdout.once('data', () => {
    child.stdout.destroy()
  })
  const status = await new Promise((resolve) => child.once('close', resolve))
  expect(complaints).toBe('')
  expect(status).toBe(7)
})
