/** `imgapi-standalone-status`, as a process. */
import { instanceStatus } from '../lib/admin/instance-status';
import { runStandalone } from '../lib/admin/standalone';

const { argv, env, stdout, stderr } = process;
void runStandalone(instanceStatus, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
