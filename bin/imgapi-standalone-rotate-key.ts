/** `imgapi-standalone-rotate-key`, as a process. */
import { rotateKey } from '../lib/admin/rotate-key';
import { runStandalone } from '../lib/admin/standalone';

const { argv, env, stdout, stderr } = process;
void runStandalone(rotateKey, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
