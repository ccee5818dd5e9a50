import type { Phase } from '../engine/phase.ts'
import { changePasswords } from './change-passwords.ts'
import { checkFacts } from './check-facts.ts'
import { checkThisWorkstation } from './check-workstation.ts'
import { configureCluster } from './configure-cluster.ts'
import { configureHosts } from './configure-hosts.ts'
import { connectNodes } from './connect-nodes.ts'
import { deployCluster } from './deploy-cluster.ts'
import { findVip } from './find-vip.ts'
import { firstLogin } from './first-login.ts'
import { checkAgain, measureNodesPhase } from './measure-nodes.ts'
import { linkHosts } from './link-hosts.ts'
import { proveVip } from './prove-vip.ts'
import type { Site } from './site.ts'
import { syncContent } from './sync-content.ts'
import { uploadContent } from './upload-content.ts'
import { uploadPacks } from './upload-packs.ts'
import { validateInstallation } from './validate-installation.ts'
import { waitForInstall } from './wait-for-install.ts'
import { watchDeployment } from './watch-deployment.ts'

/** The whole installation, in its order. */
export const installationPhases: readonly Phase<Site>[] = [
  checkThisWorkstation,
  waitForInstall,
  connectNodes,
  checkFacts,
  measureNodesPhase,
  findVip,
  changePasswords,
  configureHosts,
  linkHosts,
  uploadContent,
  syncContent,
  proveVip,
  configureCluster,
  checkAgain,
  deployCluster,
  watchDeployment,
  firstLogin,
  validateInstallation,
  uploadPacks,
]
