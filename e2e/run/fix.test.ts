import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readJournal } from '../../main/engine/journal.ts'
import { withSite, type TestSite } from './harness.ts'

const timeout = 120_000

/** A clock that is set over a real connection shows how fast a lab goes. */
const skewed = {
  timeScale: 2,
  scenario: {
    machines: { n3: { clock: { offsetSeconds: 90 } } },
    // The nodes are there when the command looks for them.
    durations: { install: '1ms', boot: '1ms', localUiFirstStart: '1ms' },
  },
}
const withData = { scenario: { machines: { n3: { storageDrive: { signatures: ['LVM2_member'] } } } } }

async function fix(site: TestSite, check: string, ...options: string[]) {
  const run = site.landfall(
    ...['fix', join(site.folder, 'plan.yaml'), check, 'n3', '--lab-at', join(site.folder, 'lab.json')],
    ...options,
  )
  const { exitCode, stdout, stderr } = await run.ended
  return { exitCode, stdout: stdout.join('\n'), stderr }
}

async function stateOf(site: TestSite, check: string): Promise<string | undefined> {
  const { stdout } = await site.landfall(
    ...[
      'check',
      join(site.folder, 'plan.yaml'),
      '--lab-at',
      join(site.folder, 'lab.json'),
      '--json',
      '--only',
      check,
    ],
  ).ended
  const { checks } = JSON.parse(stdout.join('\n')) as { checks: { target: string; state: string }[] }
  return checks.find(({ target }) => target === 'n3')?.state
}

async function journals(site: TestSite): Promise<string[]> {
  const folder = join(site.stateFolder, 'practice', 'rig', 'remedies')
  const names = await readdir(folder).catch(() => [])
  return names.map((name) => join(folder, name))
}

describe.concurrent('landfall fix', { timeout }, () => {
  test('shows what it would change, and changes nothing, in a dry run', () =>
    withSite(skewed, async (site) => {
      const shown = await fix(site, 'clock.skew', '--dry-run')
      expect(shown).toMatchObject({ exitCode: 0, stderr: '' })
      // Before anything else: who is about to be changed.
      expect(shown.stdout).toMatch(/^seen for the first time: ssh 10\.10\.200\.13:22 ssh-ed25519 SHA256:/m)
      expect(shown.stdout).toMatch(/^clock of n3\n-.*\n\+/m)
      expect(shown.stdout).toContain('Nothing was changed.')
      expect(await stateOf(site, 'clock.skew')).toBe('warn')
      expect(await journals(site)).toEqual([])
    }))

  test('asks nobody where nobody sits: without --yes nothing is changed', () =>
    withSite(skewed, async (site) => {
      const refused = await fix(site, 'clock.skew')
      expect(refused.exitCode).toBe(2)
      expect(refused.stderr).toContain('Nothing was changed. Give --yes')
      expect(await stateOf(site, 'clock.skew')).toBe('warn')
    }))

  test('steps a clock, reads it back, and keeps a journal', () =>
    withSite(skewed, async (site) => {
      const done = await fix(site, 'clock.skew', '--yes')
      expect(done.exitCode).toBe(0)
      expect(done.stdout).toContain('n3: done.')
      expect(await stateOf(site, 'clock.skew')).toBe('pass')
      const [file = ''] = await journals(site)
      const reading = readJournal(await readFile(file))
      expect(reading.kind).toBe('intact')
      const again = await fix(site, 'clock.skew', '--yes')
      expect(again).toMatchObject({ exitCode: 0 })
      expect(again.stdout).toContain('nothing is changed')
    }))

  test('destroys data only where the node is named once more: --yes is no consent', () =>
    withSite(withData, async (site) => {
      for (const options of [[], ['--yes'], ['--yes', '--confirm', 'n2']]) {
        const refused = await fix(site, 'node.disk2-data', ...options)
        expect(refused.exitCode).toBe(2)
        expect(refused.stdout).toContain('LVM2_member')
        expect(refused.stderr).toContain('--confirm n3')
      }
      expect(await stateOf(site, 'node.disk2-data')).toBe('fail')
      expect(await journals(site)).toEqual([])
      const done = await fix(site, 'node.disk2-data', '--confirm', 'n3')
      expect(done.exitCode).toBe(0)
      expect(await stateOf(site, 'node.disk2-data')).toBe('pass')
    }))

  test('refuses what it cannot put right, and nodes that the plan does not have', () =>
    withSite({}, async (site) => {
      const unknown = await fix(site, 'node.cpu')
      expect(unknown.exitCode).toBe(2)
      expect(unknown.stderr).toContain('Landfall can put right: clock.skew')
      const nobody = await site.landfall('fix', join(site.folder, 'plan.yaml'), 'clock.skew', 'n9').ended
      expect(nobody.exitCode).toBe(2)
      expect(nobody.stderr).toContain('The plan has no node "n9"')
    }))
})
