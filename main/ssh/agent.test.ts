import { expect, it } from 'vitest'
import { findAgent } from './agent.ts'

it.each([
  ['linux', { SSH_AUTH_SOCK: '/run/agent' }, false, '/run/agent'],
  ['linux', { SSH_AUTH_SOCK: '' }, false, undefined],
  ['linux', {}, false, undefined],
  ['darwin', {}, true, undefined],
  ['win32', {}, true, String.raw`\\.\pipe\openssh-ssh-agent`],
  ['win32', {}, false, 'pageant'],
  ['win32', { SSH_AUTH_SOCK: String.raw`\\.\pipe\other` }, true, String.raw`\\.\pipe\other`],
] as const)('the agent on %s with %j, pipe there: %s, is %s', (platform, environment, isPipeThere, agent) => {
  expect(findAgent(environment, platform, () => isPipeThere)).toBe(agent)
})
