/** `imgapi-standalone-restore`, as a process. */
import { restore } from '../lib/admin/restore';
import { outliveReaders } from '../lib/admin/output';
import { runStandalone } from '../lib/admin/standalone';

outliveReaders(process);
const { argv, env, stdout, stderr } = process;
void runStandalone(restore, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
