/** `imgapi-standalone-rotate-key`, as a process. */
import { rotateKey } from '../lib/admin/rotate-key';
import { outliveReaders } from '../lib/admin/output';
import { runStandalone } from '../lib/admin/standalone';

outliveReaders(process);
const { argv, env, stdout, stderr } = process;
void runStandalone(rotateKey, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
