/** To be preloaded (`node -r`): the system has no watches of files left, as with `fs.inotify.max_user_watches` used up. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

fs.watch = (path: fs.PathLike): never => {
    throw Object.assign(
        new Error(`ENOSPC: System limit for number of file watchers reached, watch '${String(path)}'`),
        {
            code: 'ENOSPC',
            syscall: 'watch',
            path,
        },
    );
};
syncBuiltinESMExports();
