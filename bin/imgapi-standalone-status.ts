/** `imgapi-standalone-status`, as a process. */
import { instanceStatus } from '../lib/admin/instance-status';
import { outliveReaders } from '../lib/admin/output';
import { runStandalone } from '../lib/admin/standalone';

outliveReaders(process);
const { argv, env, stdout, stderr } = process;
void runStandalone(instanceStatus, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
