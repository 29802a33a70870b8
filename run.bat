@echo off
rem Start Logitscope from a checkout on Windows, like `run` on other systems. Not tested yet.
rem
rem   run                open the window
rem   run ...            with anything else, run the logitscope command, as in run --help
rem
rem Set PYTHON to choose the Python for .venv, 3.11 to 3.14.
setlocal
set "root=%~dp0"
set "venv=%root%.venv"
set "PYTHONPATH="
set "PYTHONHOME="
if not defined PYTHON set "PYTHON=py -3"

rem The stamp is a copy of the lock file: if that has changed, it is installed again.
fc /b "%root%requirements.lock" "%venv%\requirements.lock.installed" >nul 2>&1 && goto start
if not exist "%venv%\Scripts\python.exe" (
    echo run: setting up %venv%; this is done once and takes a minute or two 1>&2
    %PYTHON% -I -m venv "%venv%" || goto nopython
    for /d %%d in ("%venv%\Lib\site-packages") do (
        echo ..\..\..>"%%d\checkout.pth"
        echo ..\..\..\desktop_app\importable>>"%%d\checkout.pth"
    )
)
"%venv%\Scripts\python.exe" -I -m pip install --disable-pip-version-check --require-hashes --only-binary :all: --requirement "%root%requirements.lock" 1>&2 || goto nopackages
copy /y "%root%requirements.lock" "%venv%\requirements.lock.installed" >nul

:start
rem -P: nothing is imported from the current directory.
"%venv%\Scripts\python.exe" -P -m desktop_app %*
exit /b %errorlevel%

:nopython
echo run: %PYTHON% could not make %venv%; install Python 3.11 to 3.14 from python.org, or set PYTHON to one. 1>&2
exit /b 2

:nopackages
echo run: the packages in requirements.lock could not be installed (pip's message is above); this needs the network once, so connect and start again. 1>&2
exit /b 2
