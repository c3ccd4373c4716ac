from .commands.compare import compare as compare
from .commands.confirm import confirm as confirm
from .commands.doctor import doctor as doctor
from .commands.exits import exits as exits
from .commands.export import export as export
from .commands.handle import Search as Search
from .commands.handle import load_search as load_search
from .commands.judge import judge as judge
from .commands.pareto import pareto as pareto
from .commands.picture import picture as picture
from .commands.probe import probe as probe
from .commands.recommend import recommend as recommend
from .commands.report import report as report
from .commands.run import run as run
from .commands.twin import twin as twin
from .commands.why import why as why
from .results.store.connection import Store as Store
from .runners.deploy.model import load as load
from .searchspace.errors import UsageError as UsageError
from .searchspace.objectives import Objective as Objective
from .searchspace.trial import Trial as Trial

__version__: str
