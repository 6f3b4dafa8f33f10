/** The configuration of the server; as a program (`node lib/config.js`) it prints it for scripts (config.md §4). */
import { runConfigCommand } from './config/dump';

export { censorConfig, mayBeSecretName } from './config/censor';
export { processEnvironment, type Environment } from './config/environment';
export { ConfigError } from './config/error';
export { DEFAULT_CONFIG_FILE, DEFAULTS_FILE, loadConfig, type LoadOptions } from './config/load';
export type * from './config/types';

if (require.main === module) {
    const { stdout, stderr, code } = runConfigCommand(process.argv.slice(2));
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    process.exitCode = code;
}
