/** `imgapi-standalone-gen-setup-config`, as a process. */
import { runSetupConfig } from '../lib/admin/setup-config';

const { argv, stdout, stderr } = process;
process.exitCode = runSetupConfig({ argv: argv.slice(2), stdout, stderr });
