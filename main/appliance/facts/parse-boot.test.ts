import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  maskCommandLine,
  parseAgentBootState,
  parseCommandLineBootState,
  parseMokutil,
  parseSecureBootVariables,
} from './parse-boot.ts'

describe('the state of the boot', () => {
  it('is the last word of kairos-agent, which prints no line feed', () => {
    expect(parseAgentBootState('active_boot')).toBe('active_boot')
    expect(parseAgentBootState('2026-01-01 WRN no config\nlivecd_boot\n')).toBe('livecd_boot')
    expect(parseAgentBootState('')).toBeUndefined()
    expect(parseAgentBootState('active')).toBeUndefined()
  })

  it.each([
    ['root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img rd.cos.oemlabel=COS_OEM', 'active_boot'],
    ['root=LABEL=COS_PASSIVE cos-img/filename=/cOS/passive.img', 'passive_boot'],
    ['root=LABEL=COS_SYSTEM cos-img/filename=/cOS/recovery.img', 'recovery_boot'],
    ['root=live:CDLABEL=COS_LIVE rd.live.dir=/ install-mode', 'livecd_boot'],
    ['root=live:http://10.0.0.1/rootfs netboot', 'livecd_boot'],
    // A reset in progress is named beside the image that carries it out.
    ['root=LABEL=COS_SYSTEM recovery-mode kairos.reset', 'autoreset_boot'],
    ['console=tty1 rd.immucore.uki', undefined],
    ['BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet', undefined],
    ['', undefined],
  ])('by the command line %s is %s', (line, state) => {
    expect(parseCommandLineBootState(line)).toBe(state)
  })
})

describe('the command line of the kernel', () => {
  it('is shown without secrets', () => {
    const line =
      'root=LABEL=COS_ACTIVE rd.iscsi.password=hunter2 rd.iscsi.in.username=x netroot=iscsi:u:p@10.0.0.1::: ' +
      'a.passphrase="two words" config_url=https://user:pw@example.org/c.yaml k3s_token=abc edgeHostToken=abc ssh_key=AAAA keymap=de quiet'
    const masked = maskCommandLine(line)
    expect(masked).toBe(
      'root=LABEL=COS_ACTIVE rd.iscsi.password=… rd.iscsi.in.username=x netroot=… ' +
        'a.passphrase=… config_url=https://…@example.org/c.yaml k3s_token=… edgeHostToken=… ssh_key=… keymap=de quiet',
    )
  })

  it('loses nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-j.]{1,9}(=[a-z0-9,:]{0,9})?$/u)), (words) => {
        fc.pre(!words.some((word) => /pass|secret|token|credential|chap|key/u.test(word)))
        expect(maskCommandLine(words.join(' '))).toBe(words.join(' '))
      }),
    )
  })
})

describe('Secure Boot', () => {
  it.each([
    ['   6   0   0   0   1\n', '   6   0   0   0   0\n', 'enabled'],
    ['   6   0   0   0   0\n', '   6   0   0   0   0\n', 'disabled'],
    ['   6   0   0   0   0\n', '   6   0   0   0   1\n', 'setup-mode'],
    ['  22   0   0   0   0\n', undefined, 'disabled'],
    ['   6   0   0   0\n', undefined, undefined],
    ['   6   0   0   0   7\n', undefined, undefined],
    ['', undefined, undefined],
  ])('by the variables %j and %j is %s', (secureBoot, setupMode, expected) => {
    expect(parseSecureBootVariables({ secureBoot, setupMode })).toBe(expected)
  })

  it.each([
    ['SecureBoot enabled\n', 'enabled'],
    ['SecureBoot disabled\n', 'disabled'],
    ['SecureBoot disabled\nPlatform is in Setup Mode\n', 'setup-mode'],
    ['EFI variables are not supported on this system\n', 'not-uefi'],
    ["This system doesn't support Secure Boot\n", undefined],
    ['', undefined],
  ])('by mokutil %j is %s', (text, expected) => {
    expect(parseMokutil(text)).toBe(expected)
  })
})
